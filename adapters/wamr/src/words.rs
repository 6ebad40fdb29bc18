//! WAMR's reasons for a trap, in the words that are the same on every engine.

use vyoma_runtime::trap;

/// The engine-neutral reason; WAMR's own text where there is none. `text` may begin with what was done meanwhile.
pub(crate) fn translate(text: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("unreachable", trap::UNREACHABLE),
        ("out of bounds memory access", trap::MEMORY),
        ("out of bounds table access", trap::TABLE),
        // An indirect call outside the table.
        ("undefined element", trap::TABLE),
        ("uninitialized element", trap::NULL_CALL),
        ("indirect call type mismatch", trap::SIGNATURE),
        ("integer divide by zero", trap::DIVIDE_BY_ZERO),
        ("integer overflow", trap::OVERFLOW),
        ("invalid conversion to integer", trap::CONVERSION),
        ("native stack overflow", trap::STACK),
        ("wasm operand stack overflow", trap::STACK),
    ];
    WORDS
        .iter()
        .find(|(theirs, _)| text.ends_with(theirs))
        .map_or_else(|| text.to_owned(), |(_, ours)| (*ours).to_owned())
}

/// Whether WAMR's reason is one that a guest can cause by what it does.
pub(crate) fn is_trap(text: &str) -> bool {
    let words = translate(text);
    words != text || text == trap::UNREACHABLE
}
