//! Prints each argument but its name, then reads standard input to its end and prints how many bytes came and their FNV-1a
//! hash (64 bits).
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use vyoma::inbox::{Read, Source, StandardInput};
use vyoma::print::Quoted;
use vyoma::{Error, args, println};

vyoma::main!(main);

fn main() -> Result<(), Error> {
    let mut buffer = [0; 1024];
    for argument in args(&mut buffer).skip(1) {
        println!("argument {}", Quoted(argument));
    }
    let mut count = 0_u64;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    loop {
        let read = match StandardInput.read(&mut buffer, None) {
            Read::Bytes(read) => read,
            Read::TimedOut => 0,
            Read::Closed => break,
            Read::Failed => return Err(Error),
        };
        count += read as u64;
        for byte in buffer.iter().take(read) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("{count} bytes, hash {hash:016x}");
    Ok(())
}
