//! Makes each of its arguments a request to the supervisor, in their order, and prints `request -> answer`.

use vyoma::Inbox;

fn main() {
    let mut inbox = Inbox::growing();
    for request in std::env::args().skip(1) {
        match inbox.request(&request) {
            Ok(answer) => println!("{request} -> {answer}"),
            Err(why) => println!("{request} -> {why}"),
        }
    }
    println!("done");
}
