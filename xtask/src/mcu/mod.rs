//! The microcontroller's platform, mcu-minimal: its boards, its firmware ([`firmware`]), the flash region with apps
//! ([`region`]), a QEMU machine that runs both ([`machine`]), and real boards ([`flash`]). A microcontroller has no kernel, no
//! initramfs and no disk, so nothing of an image for Linux is used here; what the commands share is their options.

use clap::ValueEnum;

pub(crate) mod budget;
pub(crate) mod check;
pub(crate) mod firmware;
pub(crate) mod flash;
pub(crate) mod image;
pub(crate) mod machine;
mod pace;
pub(crate) mod region;
pub(crate) mod run;
pub(crate) mod sizes;

/// The boards that the firmware knows. Their names are its Cargo features, its linker scripts and QEMU's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Board {
    /// Arm MPS2 with application note 385: a Cortex-M3; in QEMU only.
    #[value(name = "mps2-an385")]
    Mps2An385,
    /// ST B-L475E-IOT01A: an STM32L475VG, a Cortex-M4F; in QEMU, and as a board.
    #[value(name = "b-l475e-iot01a")]
    BL475eIot01a,
}

impl Board {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Mps2An385, Self::BL475eIot01a];

    /// The guide's: "mps2-an385 with -cpu cortex-m3".
    pub(crate) const DEFAULT: Self = Self::Mps2An385;

    /// As in the firmware's Cargo.toml and in QEMU.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mps2An385 => "mps2-an385",
            Self::BL475eIot01a => "b-l475e-iot01a",
        }
    }

    /// Rust target of the firmware: with a floating-point unit where the processor has one.
    pub(crate) fn rust_target(self) -> &'static str {
        match self {
            Self::Mps2An385 => "thumbv7m-none-eabi",
            Self::BL475eIot01a => "thumbv7em-none-eabihf",
        }
    }

    /// The chip as probe-rs names it; absent for what is no board that one can buy today.
    pub(crate) fn chip(self) -> Option<&'static str> {
        match self {
            Self::Mps2An385 => None,
            Self::BL475eIot01a => Some("STM32L475VGTx"),
        }
    }
}
