//! What the processor says about a fault, and what happens when the firmware itself has one.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::peripheral::SCB;
use cortex_m::peripheral::scb::{Exception, SystemHandler};

use vyoma_mcu_core::ecc::{self, Verdict};

use crate::{board, console, memory, stack};

/// Fault registers, as read after a fault (ARMv7-M, B3.2.15).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    status: u32,
    address: Option<u32>,
    /// It read a word of its component that can't be read.
    unreadable: bool,
}

/// An app read a word of flash that can't be read, and has not been ended for it yet.
static UNREADABLE: AtomicBool = AtomicBool::new(false);

/// Whether that is so.
pub(crate) fn is_unreadable() -> bool {
    UNREADABLE.load(Ordering::Relaxed)
}

/// CFSR: the address register of a memory protection fault is valid.
const MMARVALID: u32 = 1 << 7;
/// CFSR: pushing an exception's frame on the stack failed.
const STACKING: u32 = 1 << 4;
/// CFSR: the address register of a bus fault is valid.
const BFARVALID: u32 = 1 << 15;

impl Fault {
    /// Reads the registers and clears them for the next fault.
    pub(crate) fn take() -> Self {
        // SAFETY: reading and clearing these has no other effect; only faults write them.
        let (status, memory, bus) = unsafe {
            let scb = &*SCB::PTR;
            let status = scb.cfsr.read();
            let found = (status, scb.mmfar.read(), scb.bfar.read());
            scb.cfsr.write(status);
            found
        };
        let address = if status & MMARVALID != 0 {
            Some(memory)
        } else if status & BFARVALID != 0 {
            Some(bus)
        } else {
            None
        };
        let unreadable = is_unreadable();
        UNREADABLE.store(false, Ordering::Relaxed);
        Self {
            status,
            address,
            unreadable,
        }
    }

    /// Whether it is what a native stack that grew past `bottom`, its lowest address, looks like.
    pub(crate) fn is_overflow(&self, bottom: u32) -> bool {
        /// The largest frame that the compilers make without touching what is between: host functions have no arrays.
        const REACH: u32 = 4096;
        self.status & STACKING != 0
            || self
                .address
                .is_some_and(|address| (bottom.saturating_sub(REACH)..bottom).contains(&address))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unreadable {
            return f.write_str("its component can't be read from flash");
        }
        write!(f, "status {:#010x}", self.status)?;
        self.address
            .map_or(Ok(()), |address| write!(f, " at {address:#010x}"))
    }
}

/// Lets faults come as themselves, before any interrupt, and the exceptions that change stacks after all others.
pub(crate) fn init(scb: &mut SCB) {
    scb.enable(Exception::MemoryManagement);
    scb.enable(Exception::BusFault);
    scb.enable(Exception::UsageFault);
    // SAFETY: no code relies on other priorities, and interrupts that share data use critical sections.
    unsafe {
        scb.set_priority(SystemHandler::MemoryManagement, 0);
        scb.set_priority(SystemHandler::BusFault, 0);
        scb.set_priority(SystemHandler::UsageFault, 0);
        scb.set_priority(SystemHandler::SysTick, 0x40);
        scb.set_priority(SystemHandler::SVCall, 0xff);
        scb.set_priority(SystemHandler::PendSV, 0xff);
    }
    #[cfg(target_abi = "eabihf")]
    {
        /// FPCCR: push the floating-point frame at once, checked like the rest, and not later from within a handler.
        const LSPEN: u32 = 1 << 30;
        // SAFETY: before the first floating-point instruction of an app.
        unsafe {
            (*cortex_m::peripheral::FPU::PTR)
                .fpccr
                .modify(|it| it & !LSPEN);
        };
    }
}

/// The firmware itself faulted.
pub(crate) extern "C" fn crash(frame: *const u32) -> ! {
    let fault = Fault::take();
    // SAFETY: the processor pushed its frame there.
    let (pc, lr) = unsafe { (frame.add(6).read(), frame.add(5).read()) };
    console::last_words(format_args!(
        "the firmware crashed: {fault}, pc {pc:#010x}, lr {lr:#010x}; restarting"
    ));
    SCB::sys_reset()
}

/// Flash that can't be read, or somebody's wish that the firmware does not know. Nothing masks it, and it comes in the midst of
/// anything: so it sets two flags, or ends everything.
///
/// # Safety
/// For the vector table only.
#[cortex_m_rt::exception]
unsafe fn NonMaskableInt() {
    match ecc::judge(board::flash_error(), &memory::apps(), memory::in_app()) {
        Verdict::GoOn => {}
        Verdict::EndApp => {
            UNREADABLE.store(true, Ordering::Relaxed);
            // The app gives up the processor before it makes anything of what it read.
            SCB::set_pendsv();
        }
        Verdict::Crash => {
            console::last_words(format_args!(
                "the firmware was interrupted by what it can't go on from, at {}; restarting",
                stack::Trace::here()
            ));
            SCB::sys_reset()
        }
    }
}
