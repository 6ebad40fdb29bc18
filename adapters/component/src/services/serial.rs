//! Serial ports: what a platform does for `vyoma:uart`. Bytes go through the platform's own streams
//! ([`Services::Input`], [`Services::Output`]), so that all of `wasi:io` holds for them.

use super::{DeviceError, Services};
use crate::{enumeration, record};

enumeration! {
    /// `parity`
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[expect(missing_docs, reason = "the names of vyoma:uart")]
    pub enum Parity { #[default] None, Even, Odd }
}

enumeration! {
    /// `stop-bits`
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    #[expect(missing_docs, reason = "the names of vyoma:uart")]
    pub enum StopBits { #[default] One, Two }
}

/// `config`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UartConfig {
    /// Bits per second.
    pub baud: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// The parity bit.
    pub parity: Parity,
    /// How many stop bits.
    pub stop_bits: StopBits,
}

record!(UartConfig {
    baud: u32,
    data_bits: u8,
    parity: Parity,
    stop_bits: StopBits,
});

impl UartConfig {
    /// The rate when neither app nor manifest names one.
    pub const DEFAULT_BAUD: u32 = 115_200;

    /// 8 data bits, no parity, one stop bit.
    pub const fn plain(baud: u32) -> Self {
        Self {
            baud,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: StopBits::One,
        }
    }

    /// What an app gets that asked for `asked` when its manifest declares the rate `declared`.
    pub fn granted(asked: Option<Self>, declared: Option<u32>) -> Result<Self, DeviceError> {
        let config = asked.unwrap_or_else(|| Self::plain(declared.unwrap_or(Self::DEFAULT_BAUD)));
        if declared.is_some_and(|declared| declared != config.baud) {
            return Err(DeviceError::NotAllowed);
        }
        if config.baud == 0 || !(5..=8).contains(&config.data_bits) {
            return Err(DeviceError::InvalidArgument);
        }
        Ok(config)
    }
}

/// A port, what is read from it and what is written to it.
pub type OpenPort<S> = (
    <S as Uarts>::Port,
    <S as Services>::Input,
    <S as Services>::Output,
);

/// A platform's serial ports. One without any says [`absent!`](crate::absent).
pub trait Uarts: Services {
    /// An open port, besides its streams. It is closed when all three were dropped.
    type Port: 'static;

    /// Opens the port of that label or number; see [`UartConfig::granted`].
    fn open_uart(
        &mut self,
        name: &str,
        config: Option<UartConfig>,
    ) -> Result<OpenPort<Self>, DeviceError>;
    /// The port as it was opened.
    fn uart_config(&mut self, port: &Self::Port) -> UartConfig;
    /// Bytes that were lost since then.
    fn uart_lost(&mut self, port: &mut Self::Port) -> u64;
}
