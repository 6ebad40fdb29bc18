//! Every host function that exists, on a platform that does not: for programs that say whether a component can be
//! linked without being able to run it (`vyomactl inspect`, admission). Nothing of it can ever be called.

#![allow(
    clippy::ignored_unit_patterns,
    reason = "the arguments are somebody's types, and units only here, where nobody calls"
)]

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::cli::Cli;
use super::clocks::Clocks;
use super::filesystem::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    ErrorCode as FileError, Files, Filesystem, MetadataHash, NewTimestamp, OpenFlags, PathFlags,
};
use super::gpio::Gpio;
use super::i2c::I2c;
use super::io::Io;
use super::random::Random;
use super::sockets::{
    AllSockets, Background, Datagram, ErrorCode, IpAddressFamily, Sent, Socket, Sockets, Source,
    Tcp, TcpReader, TcpWriter, Udp,
};
use super::spi::Spi;
use crate::absent;
use crate::host::{Interface, Platform};
use crate::services::{Datetime, Instant, Pollable, Services, StreamError};
use crate::vyoma::{adc::Adc, device::Device, uart::Uart};

/// The platform that does not exist.
#[derive(Debug, Clone, Copy)]
pub enum Known {}

impl Platform for Known {
    fn packages() -> &'static [&'static [&'static Interface<Self>]] {
        &[
            Cli::<Self>::ALL,
            Clocks::<Self>::ALL,
            Io::<Self>::ALL,
            Random::<Self>::ALL,
            Files::<Self>::ALL,
            AllSockets::<Self>::ALL,
            Gpio::<Self>::ALL,
            I2c::<Self>::ALL,
            Spi::<Self>::ALL,
            Device::<Self>::ALL,
            Uart::<Self>::ALL,
            Adc::<Self>::ALL,
        ]
    }
}

absent!(Known: Pins, I2cBuses, SpiBuses, Uarts, Converters);

impl Services for Known {
    type Input = ();
    type Output = ();
    type Wait = ();

    fn arguments(&mut self) -> Vec<String> {
        match *self {}
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        match *self {}
    }

    fn monotonic_now(&mut self) -> Instant {
        match *self {}
    }

    fn monotonic_resolution(&mut self) -> u64 {
        match *self {}
    }

    fn wall_now(&mut self) -> Datetime {
        match *self {}
    }

    fn wall_resolution(&mut self) -> Datetime {
        match *self {}
    }

    fn random(&mut self, _: &mut [u8]) {
        match *self {}
    }

    fn insecure_seed(&mut self) -> (u64, u64) {
        match *self {}
    }

    fn stdin(&mut self) -> Self::Input {
        match *self {}
    }

    fn stdout(&mut self) -> Self::Output {
        match *self {}
    }

    fn stderr(&mut self) -> Self::Output {
        match *self {}
    }

    fn read(&mut self, _: &mut Self::Input, _: u64) -> Result<Vec<u8>, StreamError> {
        match *self {}
    }

    fn input_ready(&mut self, _: &Self::Input) -> Pollable<Self::Wait> {
        match *self {}
    }

    fn check_write(&mut self, _: &mut Self::Output) -> Result<u64, StreamError> {
        match *self {}
    }

    fn write(&mut self, _: &mut Self::Output, _: &[u8]) -> Result<(), StreamError> {
        match *self {}
    }

    fn flush(&mut self, _: &mut Self::Output) -> Result<(), StreamError> {
        match *self {}
    }

    fn output_ready(&mut self, _: &Self::Output) -> Pollable<Self::Wait> {
        match *self {}
    }

    fn poll(&mut self, _: &[Pollable<Self::Wait>]) -> Vec<u32> {
        match *self {}
    }

    fn is_ready(&mut self, _: &Pollable<Self::Wait>) -> bool {
        match *self {}
    }
}

impl Filesystem for Known {
    type Descriptor = ();

    fn preopens(&mut self) -> Vec<(Self::Descriptor, String)> {
        match *self {}
    }

    fn read_via_stream(&mut self, _: &Self::Descriptor, _: u64) -> Result<Self::Input, FileError> {
        match *self {}
    }

    fn write_via_stream(
        &mut self,
        _: &Self::Descriptor,
        _: u64,
    ) -> Result<Self::Output, FileError> {
        match *self {}
    }

    fn append_via_stream(&mut self, _: &Self::Descriptor) -> Result<Self::Output, FileError> {
        match *self {}
    }

    fn advise(&mut self, _: &Self::Descriptor, _: u64, _: u64, _: Advice) -> Result<(), FileError> {
        match *self {}
    }

    fn sync_data(&mut self, _: &Self::Descriptor) -> Result<(), FileError> {
        match *self {}
    }

    fn get_flags(&mut self, _: &Self::Descriptor) -> Result<DescriptorFlags, FileError> {
        match *self {}
    }

    fn get_type(&mut self, _: &Self::Descriptor) -> Result<DescriptorType, FileError> {
        match *self {}
    }

    fn set_size(&mut self, _: &Self::Descriptor, _: u64) -> Result<(), FileError> {
        match *self {}
    }

    fn set_times(
        &mut self,
        _: &Self::Descriptor,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> Result<(), FileError> {
        match *self {}
    }

    fn read_at(&mut self, _: &Self::Descriptor, _: u64, _: u64) -> Result<Vec<u8>, FileError> {
        match *self {}
    }

    fn write_at(&mut self, _: &Self::Descriptor, _: &[u8], _: u64) -> Result<u64, FileError> {
        match *self {}
    }

    fn read_directory(
        &mut self,
        _: &Self::Descriptor,
    ) -> Result<Vec<Result<DirectoryEntry, FileError>>, FileError> {
        match *self {}
    }

    fn sync(&mut self, _: &Self::Descriptor) -> Result<(), FileError> {
        match *self {}
    }

    fn create_directory_at(&mut self, _: &Self::Descriptor, _: &str) -> Result<(), FileError> {
        match *self {}
    }

    fn stat(&mut self, _: &Self::Descriptor) -> Result<DescriptorStat, FileError> {
        match *self {}
    }

    fn stat_at(
        &mut self,
        _: &Self::Descriptor,
        _: PathFlags,
        _: &str,
    ) -> Result<DescriptorStat, FileError> {
        match *self {}
    }

    fn set_times_at(
        &mut self,
        _: &Self::Descriptor,
        _: PathFlags,
        _: &str,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> Result<(), FileError> {
        match *self {}
    }

    fn link_at(
        &mut self,
        _: &Self::Descriptor,
        _: PathFlags,
        _: &str,
        _: &Self::Descriptor,
        _: &str,
    ) -> Result<(), FileError> {
        match *self {}
    }

    fn open_at(
        &mut self,
        _: &Self::Descriptor,
        _: PathFlags,
        _: &str,
        _: OpenFlags,
        _: DescriptorFlags,
    ) -> Result<Self::Descriptor, FileError> {
        match *self {}
    }

    fn readlink_at(&mut self, _: &Self::Descriptor, _: &str) -> Result<String, FileError> {
        match *self {}
    }

    fn remove_directory_at(&mut self, _: &Self::Descriptor, _: &str) -> Result<(), FileError> {
        match *self {}
    }

    fn rename_at(
        &mut self,
        _: &Self::Descriptor,
        _: &str,
        _: &Self::Descriptor,
        _: &str,
    ) -> Result<(), FileError> {
        match *self {}
    }

    fn symlink_at(&mut self, _: &Self::Descriptor, _: &str, _: &str) -> Result<(), FileError> {
        match *self {}
    }

    fn unlink_file_at(&mut self, _: &Self::Descriptor, _: &str) -> Result<(), FileError> {
        match *self {}
    }

    fn is_same_object(
        &mut self,
        _: &Self::Descriptor,
        _: &Self::Descriptor,
    ) -> Result<bool, FileError> {
        match *self {}
    }

    fn metadata_hash(&mut self, _: &Self::Descriptor) -> Result<MetadataHash, FileError> {
        match *self {}
    }

    fn metadata_hash_at(
        &mut self,
        _: &Self::Descriptor,
        _: PathFlags,
        _: &str,
    ) -> Result<MetadataHash, FileError> {
        match *self {}
    }
}

impl Sockets for Known {
    type Tcp = Self;
    type Udp = Self;
    type Lookup = ();

    fn network_granted(&mut self) -> bool {
        match *self {}
    }

    fn may_bind(&mut self, _: SocketAddr) -> bool {
        match *self {}
    }

    fn create_tcp(&mut self, _: IpAddressFamily) -> Result<Self::Tcp, ErrorCode> {
        match *self {}
    }

    fn create_udp(&mut self, _: IpAddressFamily) -> Result<Self::Udp, ErrorCode> {
        match *self {}
    }

    fn streams(
        &mut self,
        _: TcpReader<Self::Tcp>,
        _: TcpWriter<Self::Tcp>,
    ) -> (Self::Input, Self::Output) {
        match *self {}
    }

    fn background(&mut self, _: Background<Self::Wait>) {
        match *self {}
    }

    fn resolve(&mut self, _: String) -> Result<Self::Lookup, ErrorCode> {
        match *self {}
    }

    fn next_address(&mut self, _: &mut Self::Lookup) -> Result<Option<IpAddr>, ErrorCode> {
        match *self {}
    }

    fn lookup_ready(&mut self, _: &Self::Lookup) -> Pollable<Self::Wait> {
        match *self {}
    }
}

impl Socket for Known {
    type Wait = ();

    fn event(&self, _: Rc<dyn Source>) -> Self::Wait {
        match *self {}
    }

    fn local_address(&self) -> Result<SocketAddr, ErrorCode> {
        match *self {}
    }

    fn remote_address(&self) -> Result<SocketAddr, ErrorCode> {
        match *self {}
    }

    fn hop_limit(&self) -> Result<u8, ErrorCode> {
        match *self {}
    }

    fn set_hop_limit(&self, _: u8) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn receive_buffer_size(&self) -> Result<u64, ErrorCode> {
        match *self {}
    }

    fn set_receive_buffer_size(&self, _: u32) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn send_buffer_size(&self) -> Result<u64, ErrorCode> {
        match *self {}
    }

    fn set_send_buffer_size(&self, _: u32) -> Result<(), ErrorCode> {
        match *self {}
    }
}

impl Tcp for Known {
    fn bind(&self, _: SocketAddr) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn connect(&self, _: SocketAddr) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn connected(&self) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn listen(&self, _: u32) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn accept(&self) -> Result<Self, ErrorCode> {
        match *self {}
    }

    fn receive(&self, _: &mut [u8]) -> Result<usize, ErrorCode> {
        match *self {}
    }

    fn send(&self, _: &[u8]) -> Sent {
        match *self {}
    }

    fn is_writable(&self) -> bool {
        match *self {}
    }

    fn shutdown_receive(&self) {
        match *self {}
    }

    fn shutdown_send(&self) {
        match *self {}
    }

    fn keep_alive_enabled(&self) -> Result<bool, ErrorCode> {
        match *self {}
    }

    fn set_keep_alive_enabled(&self, _: bool) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn keep_alive_idle_time(&self) -> Result<u64, ErrorCode> {
        match *self {}
    }

    fn set_keep_alive_idle_time(&self, _: u64) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn keep_alive_interval(&self) -> Result<u64, ErrorCode> {
        match *self {}
    }

    fn set_keep_alive_interval(&self, _: u64) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn keep_alive_count(&self) -> Result<u32, ErrorCode> {
        match *self {}
    }

    fn set_keep_alive_count(&self, _: u32) -> Result<(), ErrorCode> {
        match *self {}
    }
}

impl Udp for Known {
    fn bind(&self, _: SocketAddr) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn connect(&self, _: SocketAddr) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn disconnect(&self) -> Result<(), ErrorCode> {
        match *self {}
    }

    fn receive(&self) -> Result<Datagram, ErrorCode> {
        match *self {}
    }

    fn send(&self, _: &[u8], _: Option<SocketAddr>) -> Result<(), ErrorCode> {
        match *self {}
    }
}
