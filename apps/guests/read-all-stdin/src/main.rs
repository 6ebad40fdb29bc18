//! Prints each argument but its name, then reads standard input to its end and prints how many bytes came and their FNV-1a
//! hash (64 bits).

use std::io::{self, Read};

fn main() -> io::Result<()> {
    for argument in std::env::args().skip(1) {
        println!("argument {argument:?}");
    }
    let mut buffer = [0; 1024];
    let mut count = 0_u64;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    loop {
        let read = io::stdin().read(&mut buffer)?;
        if read == 0 {
            break;
        }
        count += read as u64;
        for byte in &buffer[..read] {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("{count} bytes, hash {hash:016x}");
    Ok(())
}
