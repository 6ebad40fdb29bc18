//! Opens the serial port that its argument names, sends every line back that comes in, the other way round, and says how many
//! there were. Ends at the line `close`.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use embedded_io::{Read as _, Write as _};
use vyoma::{ExitCode, args, println};
use vyoma_hal::uart::{Error, Port};

vyoma::main!(main);

/// Longest line, with its end.
const LINE: usize = 64;

fn main() -> ExitCode {
    let mut room = [0; 32];
    let name = args(&mut room).nth(1).unwrap_or("");
    let port = match Port::open(name, None) {
        Ok(port) => port,
        Err(error) => {
            println!("{name}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("open at {}", port.config().baud);
    if answer(port).is_err() {
        println!("{name} is gone");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Answers until it is told to close.
fn answer(mut port: Port) -> Result<(), Error> {
    let mut line = [0; LINE];
    let (mut length, mut lines) = (0, 0_u32);
    loop {
        let mut bytes = [0; 16];
        let count = port.read(&mut bytes)?;
        for byte in bytes.iter().take(count) {
            if *byte != b'\n' {
                if let Some(place) = line[..LINE - 1].get_mut(length) {
                    *place = *byte;
                    length += 1;
                }
                continue;
            }
            if line[..length] == *b"close" {
                println!("{lines} lines, {} lost", port.lost());
                return Ok(());
            }
            line[..length].reverse();
            line[length] = b'\n';
            port.write_all(&line[..=length])?;
            length = 0;
            lines += 1;
            println!("line {lines}");
        }
    }
}
