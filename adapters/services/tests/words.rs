//! The words of traps are the same whether a core engine's host functions or Wasmtime say them.

use vyoma_capabilities::lifecycle::Ending;
use vyoma_component::trap::Trap;
use vyoma_runtime::trap;
use vyoma_services::ending;

#[test]
fn traps_of_host_functions_end_a_run_in_the_words_that_all_engines_use() {
    let words: [(Trap, &str); 6] = [
        (Trap::Abi("whatever exactly"), trap::ABI),
        (Trap::HasChildren, trap::CHILDREN),
        (Trap::CannotLeave, trap::LEAVE),
        (Trap::UnknownHandle(7), &trap::unknown_handle(7)),
        (Trap::WrongHandle(7), &trap::wrong_handle(7)),
        (
            Trap::Interface(trap::EMPTY_POLL.to_owned()),
            trap::EMPTY_POLL,
        ),
    ];
    for (reason, expected) in words {
        assert_eq!(ending(&reason), Ending::Trapped(expected.to_owned()));
    }
    assert_eq!(ending(&Trap::Exit(42)), Ending::Exited(42));
}
