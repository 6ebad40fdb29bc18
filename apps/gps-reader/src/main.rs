//! Prints the positions that a GPS receiver sends (NMEA 0183, RMC sentences). Arguments: the port, and an app that is told, too.
//! The parser is `nmea0183` as the registry has it; bytes come through `embedded-io`.
//!
//! What is no sentence, is damaged or says nothing about a position is skipped and counted. The end of the port is an error.
#![cfg_attr(target_os = "wasi", no_std, no_main)]

use embedded_io::Read;
use nmea0183::{ParseResult, Parser};
use vyoma::{Fixed, Show, args, println, send};
use vyoma_hal::OpenError;
use vyoma_hal::uart::{self, Port};

vyoma::main!(main);

enum Error {
    Open(OpenError),
    Read(uart::Error),
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<uart::Error> for Error {
    fn from(error: uart::Error) -> Self {
        Self::Read(error)
    }
}

impl Show for Error {
    fn show(&self, line: &mut vyoma::print::Line) {
        match self {
            Self::Open(error) => error.show(line),
            Self::Read(error) => error.show(line),
        }
    }
}

fn main() -> Result<(), Error> {
    let mut room = [0; 128];
    let mut arguments = args(&mut room).skip(1);
    let mut port = Port::open(arguments.next().unwrap_or("0"), None)?;
    let listener = arguments.next();
    let mut parser = Parser::new();
    let mut bytes = [0; 64];
    let mut skipped = 0_u32;
    loop {
        let count = port.read(&mut bytes)?;
        for sentence in parser.parse_from_bytes(bytes.get(..count).unwrap_or_default()) {
            let Ok(ParseResult::RMC(Some(fix))) = sentence else {
                if sentence.is_err() {
                    skipped += 1;
                    println!("damaged sentences: {skipped}");
                }
                continue;
            };
            let latitude = Fixed::<5>::nearest(fix.latitude.as_f64());
            let longitude = Fixed::<5>::nearest(fix.longitude.as_f64());
            let knots = Fixed::<1>::nearest(fix.speed.as_knots());
            println!("position {latitude} {longitude}, {knots} knots");
            if let Some(app) = listener {
                send!(app, "position {latitude} {longitude}");
            }
        }
    }
}
