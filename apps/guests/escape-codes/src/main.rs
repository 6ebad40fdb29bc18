//! Prints what would change or fool a terminal. The lines end with `end`, so that a test sees what was cut.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::println;

vyoma::main!(main);

fn main() {
    println!("colour \x1b[31mred\x1b[0m end");
    println!("clear \x1b[2J\x1b[H end");
    println!("title \x1b]0;owned\x07 end");
    println!("title with string terminator \x1b]2;owned\x1b\\ end");
    println!("clipboard \x1b]52;c;b3duZWQ=\x07 end");
    println!("device control \x1bP$q\"p\x1b\\ end");
    println!("eight-bit \u{9b}31m \u{9d}0;owned\u{9c} end");
    println!("bell and backspace \x07\x08\x08\x08 end");
    println!("carriage return fake\rreal end");
    println!("right to left \u{202e}drowssap\u{202c} \u{2066}isolate\u{2069} end");
    println!("zero width \u{200b}\u{feff} end");
    println!("line separators \u{2028}\u{2029}\u{85} end");
    println!("tags \u{e0041}\u{e007f} end");
    println!("delete \x7f end");
    println!("unfinished \x1b[ end");
    println!("unfinished \x1b]0;never closed end");
    println!("tab\tend");
    println!("done");
}
