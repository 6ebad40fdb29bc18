//! Greets, says how it was started, draws a little where that is possible, and ends.
//!
//! Its standard output is the same on every platform, byte for byte: what differs goes to standard error.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::print::Quoted;
use vyoma::{Inbox, args, eprintln, print, println, vars};

vyoma::main!(main);

/// Colours as RRGGBBAA.
const BACKGROUND: u32 = 0x1E1E_2EFF;
const WHITE: u32 = 0xFFFF_FFFF;

/// Room for arguments and environment, in bytes.
const ROOM: usize = 512;

fn main() {
    println!("Hello from Vyoma!");
    let mut room = [0; ROOM];
    print!("arguments: [");
    for (index, argument) in args(&mut room).skip(1).enumerate() {
        print!("{}{}", if index == 0 { "" } else { ", " }, Quoted(argument));
    }
    println!("]");
    println!("environment variables: {}", vars(&mut room).count());

    // Shown on desktop-full and mobile, ignored elsewhere.
    println!("VYOMA_DRAW:fill_rect:0,0,400,300,{BACKGROUND}");
    println!("VYOMA_DRAW:draw_text:10,10,{WHITE},m,Hello");
    println!("VYOMA_DRAW:flush");

    match Inbox::open().request("platform") {
        Ok(platform) => eprintln!("[hello] running on {platform}"),
        Err(why) => eprintln!("[hello] platform unknown: {why}"),
    }
}
