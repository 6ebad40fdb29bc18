//! A display controller, as far as a picture in its memory comes from it: Solomon Systech SSD1306 data sheet (rev 1.1), sections 8
//! to 10, with the usual module of 128 by 64 dots around it, which is upright with segments remapped (A1h) and COM outputs
//! reversed (C8h). It scrolls nothing by itself.

use alloc::string::String;
use alloc::vec::Vec;

use vyoma_capabilities::control::sim::Picture;

const COLUMNS: usize = 128;
const PAGES: usize = 8;
const ROWS: usize = PAGES * 8;

/// Where the next byte goes, and between which ends it goes round.
#[derive(Debug, Clone, Copy)]
struct Counter {
    start: usize,
    end: usize,
    at: usize,
}

impl Counter {
    const fn to(end: usize) -> Self {
        Self {
            start: 0,
            end,
            at: 0,
        }
    }

    /// Ends given as a command has them; only the bits that the chip looks at.
    fn between(start: u8, end: u8, mask: u8) -> Self {
        let start = usize::from(start & mask);
        Self {
            start,
            end: usize::from(end & mask),
            at: start,
        }
    }

    /// True when it goes round.
    fn step(&mut self, most: usize) -> bool {
        let over = self.at == self.end;
        self.at = if over {
            self.start
        } else {
            (self.at + 1) % most
        };
        over
    }
}

/// Memory addressing modes (20h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressing {
    Horizontal,
    Vertical,
    Page,
}

/// A display.
#[derive(Debug)]
pub(crate) struct Ssd1306 {
    /// A byte for eight dots, the uppermost in bit 0.
    memory: Vec<u8>,
    addressing: Addressing,
    column: Counter,
    page: Counter,
    on: bool,
    /// All dots lit, whatever the memory says (A5h).
    all: bool,
    inverse: bool,
    remapped: bool,
    reversed: bool,
    start_line: usize,
    /// A command that waits for the rest of its bytes.
    begun: Vec<u8>,
}

impl Ssd1306 {
    /// As after a reset.
    pub(crate) fn new() -> Self {
        Self {
            memory: alloc::vec![0; COLUMNS * PAGES],
            addressing: Addressing::Page,
            column: Counter::to(COLUMNS - 1),
            page: Counter::to(PAGES - 1),
            on: false,
            all: false,
            inverse: false,
            remapped: false,
            reversed: false,
            start_line: 0,
            begun: Vec::new(),
        }
    }

    /// Bit 6: whether it is off.
    pub(crate) fn status(&self) -> u8 {
        if self.on { 0 } else { 0x40 }
    }

    /// What the data sheet calls Co and D/C# stands before the bytes (8.1.5.2).
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while let Some((control, rest)) = bytes.split_first() {
            let one = control & 0x80 != 0;
            let (now, later) = rest.split_at(if one { rest.len().min(1) } else { rest.len() });
            for byte in now {
                if control & 0x40 == 0 {
                    self.command(*byte);
                } else {
                    self.data(*byte);
                }
            }
            bytes = later;
        }
    }

    fn data(&mut self, byte: u8) {
        let at = self.page.at % PAGES * COLUMNS + self.column.at % COLUMNS;
        self.memory[at] = byte;
        match self.addressing {
            Addressing::Horizontal => {
                if self.column.step(COLUMNS) {
                    self.page.step(PAGES);
                }
            }
            Addressing::Vertical => {
                if self.page.step(PAGES) {
                    self.column.step(COLUMNS);
                }
            }
            Addressing::Page => {
                self.column.step(COLUMNS);
            }
        }
    }

    fn command(&mut self, byte: u8) {
        self.begun.push(byte);
        let more = match self.begun[0] {
            0x20 | 0x81 | 0x8d | 0xa8 | 0xd3 | 0xd5 | 0xd9..=0xdb => 1,
            0x21 | 0x22 | 0xa3 => 2,
            0x26 | 0x27 => 6,
            0x29 | 0x2a => 5,
            _ => 0,
        };
        if self.begun.len() <= more {
            return;
        }
        let whole = core::mem::take(&mut self.begun);
        match whole[..] {
            [low @ 0x00..=0x0f] => self.column.at = self.column.at & 0x70 | usize::from(low),
            [high @ 0x10..=0x1f] => {
                self.column.at = self.column.at & 0x0f | usize::from(high & 0x07) << 4;
            }
            [0x20, mode] => {
                self.addressing = match mode & 3 {
                    0 => Addressing::Horizontal,
                    1 => Addressing::Vertical,
                    _ => Addressing::Page,
                };
            }
            [0x21, start, end] => self.column = Counter::between(start, end, 0x7f),
            [0x22, start, end] => self.page = Counter::between(start, end, 0x07),
            [line @ 0x40..=0x7f] => self.start_line = usize::from(line & 0x3f),
            [0xa0] => self.remapped = false,
            [0xa1] => self.remapped = true,
            [0xa4] => self.all = false,
            [0xa5] => self.all = true,
            [0xa6] => self.inverse = false,
            [0xa7] => self.inverse = true,
            [0xae] => self.on = false,
            [0xaf] => self.on = true,
            [page @ 0xb0..=0xb7] => self.page.at = usize::from(page & 7),
            [0xc0] => self.reversed = false,
            [0xc8] => self.reversed = true,
            // Contrast, charge pump, timing, scrolling: nothing that the picture tells.
            _ => {}
        }
    }

    fn is_lit(&self, row: usize, column: usize) -> bool {
        let column = if self.remapped {
            column
        } else {
            COLUMNS - 1 - column
        };
        let row = if self.reversed { row } else { ROWS - 1 - row };
        let row = (row + self.start_line) % ROWS;
        let dot = self.memory[row / 8 * COLUMNS + column] >> (row % 8) & 1 == 1;
        self.on && (self.all || dot != self.inverse)
    }

    pub(crate) fn picture(&self) -> Picture {
        let row = |row| -> String {
            (0..COLUMNS)
                .map(|column| if self.is_lit(row, column) { '#' } else { '.' })
                .collect()
        };
        Picture {
            on: self.on,
            rows: (0..ROWS).map(row).collect(),
        }
    }
}
