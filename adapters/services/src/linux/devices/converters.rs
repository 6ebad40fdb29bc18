//! Channels of converters: an IIO channel's raw value in sysfs (Linux, Documentation/ABI/testing/sysfs-bus-iio), or a
//! simulated board.

use rustix::fs::SeekFrom;
use vyoma_capabilities::board::{Details, Kind};
use vyoma_component::services::{Converters, DeviceError, Range};
use vyoma_sim::wire::{Message, Request};

use super::channel::Channel as Socket;
use super::{Lease, label};
use crate::linux::Linux;

/// A channel that an app has open.
pub struct Channel {
    lease: Lease,
    socket: Socket,
    label: String,
    range: Range,
}

impl Converters for Linux {
    type Channel = Channel;

    fn open_channel(&mut self, name: &str) -> Result<Channel, DeviceError> {
        let (device, lease) = self.devices.open(Kind::Adc, name, &self.config)?;
        let Details::Adc { max, microvolts } = device.details else {
            return Err(DeviceError::HardwareFault);
        };
        Ok(Channel {
            label: label(device),
            lease,
            socket: Socket::default(),
            range: Range { max, microvolts },
        })
    }

    fn channel_label(&mut self, channel: &Channel) -> String {
        channel.label.clone()
    }

    fn channel_range(&mut self, channel: &Channel) -> Range {
        channel.range
    }

    fn sample(&mut self, channel: &mut Channel) -> Result<u32, DeviceError> {
        let Some(file) = channel.lease.kernel() else {
            let socket = channel.lease.descriptor();
            return match channel.socket.ask(socket, &Request::Sample, |_| {}) {
                Some(Message::Sample(value)) => Ok(value),
                _ => Err(DeviceError::HardwareFault),
            };
        };
        // Every read from the start is a new conversion.
        let mut text = [0; 32];
        let length = rustix::fs::seek(file, SeekFrom::Start(0))
            .and_then(|_| rustix::io::read(file, &mut text))
            .map_err(|_| DeviceError::HardwareFault)?;
        let value = std::str::from_utf8(&text[..length])
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok())
            .ok_or(DeviceError::HardwareFault)?;
        // Below zero is what a differential channel gives, and an input that is pulled below ground.
        Ok(u32::try_from(value.max(0)).unwrap_or(u32::MAX))
    }
}
