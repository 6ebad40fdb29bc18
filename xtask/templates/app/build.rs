//! How the component is linked.

fn main() {
    // Bytes of stack for what the app keeps in memory, such as its inbox. All of it counts as RAM on a microcontroller.
    vyoma_build::small_app(1024);
}
