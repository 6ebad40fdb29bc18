//! Opens the serial port that its argument names, sends every line back that comes in, the other way round, and says how many
//! there were. Ends at the line `close`. Without `std`, so that it fits a microcontroller.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

// What is generated, and what is called by nobody.
#[allow(clippy::pedantic, missing_docs, unreachable_pub, dead_code)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../capabilities/wit",
        inline: "
            package vyoma:port;
            world serial {
                import vyoma:uart/uart@0.1.0;
            }
        ",
        world: "vyoma:port/serial",
        generate_all,
    });
}

extern crate alloc;

use alloc::vec::Vec;

use bindings::vyoma::uart::uart;
use vyoma::{ExitCode, args, println};

vyoma::main!(main, heap = 2048);

/// Longest line.
const LINE: usize = 64;

fn main() -> ExitCode {
    let mut room = [0; 32];
    let name = args(&mut room).nth(1).unwrap_or("");
    let (port, input, output) = match uart::open(name, None) {
        Ok(opened) => opened,
        Err(error) => {
            println!("{name}: {}", error.name());
            return ExitCode::FAILURE;
        }
    };
    println!("open at {}", port.get_config().baud);
    let mut lines = 0_u32;
    let mut line: Vec<u8> = Vec::with_capacity(LINE);
    loop {
        let Ok(bytes) = input.blocking_read(16) else {
            return ExitCode::FAILURE;
        };
        for byte in bytes {
            if byte != b'\n' {
                if line.len() < LINE {
                    line.push(byte);
                }
                continue;
            }
            if line == b"close" {
                println!("{lines} lines, {} lost", port.lost() as u32);
                return ExitCode::SUCCESS;
            }
            line.reverse();
            line.push(b'\n');
            if output.blocking_write_and_flush(&line).is_err() {
                return ExitCode::FAILURE;
            }
            line.clear();
            lines += 1;
            println!("line {lines}");
        }
    }
}
