//! Devices that apps open: what the manifest grants, whether another app has it, and what is given back when a run is over.
//! The hardware itself is the board's.

use alloc::vec::Vec;

use vyoma_capabilities::manifest::{Direction, Pin};
use vyoma_capabilities::resolve::Grants;
use vyoma_component::services::{DeviceError, PinMode, UartConfig};

use super::Device;
use crate::calls::{self, Refusal, Setup};
use crate::{board, pins};

/// A device that an app has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    kind: calls::Device,
    number: u8,
}

/// The devices of one run.
pub(super) struct Opened {
    device: &'static Device,
    claims: Vec<Claim>,
}

impl Opened {
    pub(super) fn new(device: &'static Device) -> Self {
        Self {
            device,
            claims: Vec::new(),
        }
    }

    /// Opens one; for a port, the bits per second that it got.
    pub(super) fn open(
        &mut self,
        grants: &Grants,
        kind: calls::Device,
        number: u32,
        how: u32,
    ) -> Result<u32, Refusal> {
        let mut value = 0;
        let number = u8::try_from(number).map_err(|_| DeviceError::NoSuchDevice)?;
        let claim = Claim { kind, number };
        // Only who may have it is told whether somebody has.
        let free = || -> Result<(), Refusal> {
            if self.device.claims.borrow().contains(&claim) {
                return Err(DeviceError::AlreadyInUse.into());
            }
            Ok(())
        };
        match kind {
            calls::Device::Pin => {
                let setup = Setup::decode(how).ok_or(DeviceError::InvalidArgument)?;
                may_use(grants, number, setup.mode)?;
                free()?;
                board::pin_set_up(number, setup)?;
            }
            calls::Device::Uart => {
                let granted = grants.uart.as_ref().ok_or(DeviceError::NotAllowed)?;
                if granted.port.is_some_and(|port| port != number.into()) {
                    return Err(DeviceError::NotAllowed.into());
                }
                let asked = (how != 0).then(|| UartConfig::plain(how));
                let config = UartConfig::granted(asked, granted.baud)?;
                free()?;
                board::uart_open(config)?;
                value = config.baud;
            }
            calls::Device::Channel => {
                let granted = grants.adc.as_ref().ok_or(DeviceError::NotAllowed)?;
                let any = granted.channels.is_empty();
                if !any && !granted.channels.contains(&number.into()) {
                    return Err(DeviceError::NotAllowed.into());
                }
                free()?;
                board::channel_open(number)?;
            }
        }
        self.device.claims.borrow_mut().push(claim);
        self.claims.push(claim);
        Ok(value)
    }

    /// Whether the run has it open.
    pub(super) fn has(&self, kind: calls::Device, number: u32) -> Option<u8> {
        let number = u8::try_from(number).ok()?;
        let claim = Claim { kind, number };
        self.claims.contains(&claim).then_some(number)
    }

    /// Whether the run has any of the kind open.
    pub(super) fn has_any(&self, kind: calls::Device) -> bool {
        self.claims.iter().any(|claim| claim.kind == kind)
    }

    /// Closes one.
    pub(super) fn close(&mut self, kind: calls::Device, number: u32) {
        if let Some(number) = self.has(kind, number) {
            self.give_back(Claim { kind, number });
        }
    }

    fn give_back(&mut self, claim: Claim) {
        let others = |other: &Claim| *other != claim;
        self.claims.retain(others);
        self.device.claims.borrow_mut().retain(others);
        match claim.kind {
            calls::Device::Pin => {
                board::pin_release(claim.number);
                pins::forget(claim.number);
            }
            calls::Device::Uart => board::uart_close(),
            calls::Device::Channel => {}
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        while let Some(claim) = self.claims.first() {
            self.give_back(*claim);
        }
    }
}

/// Whether the manifest declares the pin, and for that direction.
fn may_use(grants: &Grants, number: u8, mode: PinMode) -> Result<(), Refusal> {
    let granted = grants.gpio.as_ref().ok_or(DeviceError::NotAllowed)?;
    let is_it = |pin: &Pin| match pin {
        Pin::Number(declared) => *declared == u32::from(number),
        Pin::Label(label) => board::pin(label) == Ok(number),
    };
    if !granted.pins.is_empty() && !granted.pins.iter().any(is_it) {
        return Err(DeviceError::NotAllowed.into());
    }
    match (granted.direction, mode) {
        (None, _)
        | (Some(Direction::Input), PinMode::In)
        | (Some(Direction::Output), PinMode::Out) => Ok(()),
        _ => Err(Refusal::Direction),
    }
}
