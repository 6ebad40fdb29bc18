//! Greets, says how it was started, draws a little where that is possible, and ends.
//!
//! Its standard output is the same on every platform, byte for byte: what differs goes to standard error.

use vyoma::Inbox;

/// Colours as RRGGBBAA.
const BACKGROUND: u32 = 0x1E1E_2EFF;
const WHITE: u32 = 0xFFFF_FFFF;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("Hello from Vyoma!");
    println!("arguments: {arguments:?}");
    println!("environment variables: {}", std::env::vars().count());

    // Shown on desktop-full and mobile, ignored elsewhere.
    println!("VYOMA_DRAW:fill_rect:0,0,400,300,{BACKGROUND}");
    println!("VYOMA_DRAW:draw_text:10,10,{WHITE},m,Hello");
    println!("VYOMA_DRAW:flush");

    match Inbox::open().request("platform") {
        Ok(platform) => eprintln!("[hello] running on {platform}"),
        Err(why) => eprintln!("[hello] platform unknown: {why}"),
    }
}
