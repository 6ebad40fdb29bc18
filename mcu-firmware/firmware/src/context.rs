//! Going from the executor to an app and back: the registers of an app that waits, and the exceptions between.
//!
//! ```text
//!   executor: thread mode, main stack (MSP), privileged        app: thread mode, its own stack (PSP), unprivileged
//!
//!        enter()  -- svc -->  SVCall  -- app's registers in -->   runs until ...
//!        returns  <--- registers out, why -- leave <-- SVCall     it makes a host call (svc)
//!                                              ^ ----- PendSV     an interrupt woke the executor, or its slice is over
//!                                              `------ faults     it went where it may not
//! ```
//!
//! An app's callee-saved registers are kept here, in memory of the executor's, and not on the app's stack: the app may have
//! set its stack pointer to anything. What the processor itself pushes there is checked against the app's regions. Interrupts
//! run on the main stack, above what `SVCall` saved of the executor. Source: ARMv7-M Architecture Reference Manual, B1.5.

use core::arch::{asm, naked_asm};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

/// An app's registers while it does not run. The assembler below knows the layout.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Context {
    callee_saved: [u32; 8],
    stack: u32,
    /// The link register of an exception: which stack, and whether a floating-point frame is on it.
    exception_return: u32,
    reason: u32,
    #[cfg(target_abi = "eabihf")]
    floats: [u32; 16],
}

/// Why an app stopped running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It made a host call; [`Context::frame`] has its arguments.
    Call,
    /// Others have to run, and it can go on at any time.
    Preempted,
    /// It did what it may not; the processor's fault registers say what.
    Fault,
}

/// What the processor pushes on an exception: r0 to r3, r12, lr, pc, xpsr.
pub(crate) const FRAME_BYTES: u32 = 32;

/// Return to thread mode, process stack, no floating-point frame (ARMv7-M, B1.5.8).
const THREAD_PROCESS_STACK: u32 = 0xffff_fffd;

/// Program status of code that begins: only the Thumb bit.
const THUMB: u32 = 1 << 24;

/// The context that the next `svc` of the executor enters; null otherwise, so that an `svc` of an app that is gone (its
/// stack was bad when the exception came) is not taken for one of the executor.
static ENTER: AtomicPtr<Context> = AtomicPtr::new(null_mut());
/// The context of the app that runs.
static CURRENT: AtomicPtr<Context> = AtomicPtr::new(null_mut());

impl Context {
    /// A context that calls `function(arguments)` when it is first entered. `frame` is where its stack pointer will be; the
    /// [`FRAME_BYTES`] there are to be filled with what is returned.
    pub(crate) fn start(
        &mut self,
        frame: u32,
        function: unsafe extern "C" fn(u32, u32, u32, u32) -> !,
        arguments: [u32; 4],
    ) -> [u32; 8] {
        *self = Self {
            stack: frame,
            exception_return: THREAD_PROCESS_STACK,
            ..Self::default()
        };
        let [r0, r1, r2, r3] = arguments;
        let address = function as *const () as usize as u32;
        // A return address of 0: the function does not return, and if it did, that would be a fault.
        [r0, r1, r2, r3, 0, 0, address & !1, THUMB]
    }

    /// Where the processor pushed the frame: r0 to r3 of a host call. The app chose the address.
    pub(crate) fn frame(&self) -> u32 {
        self.stack
    }
}

/// Lets the app run until it stops. Its regions must be set.
pub(crate) fn enter(context: &mut Context) -> Stop {
    let context: *mut Context = context;
    ENTER.store(context, Ordering::Relaxed);
    // SAFETY: `SVCall` saves all that a function call has to preserve and restores it when it comes back here; the
    // processor does so with the rest. The context is exclusively ours until then.
    unsafe { asm!("svc 0") };
    // SAFETY: as above; written by the assembler.
    match unsafe { (&raw const (*context).reason).read_volatile() } {
        0 => Stop::Call,
        1 => Stop::Preempted,
        _ => Stop::Fault,
    }
}

/// The instructions that save or load the floating-point registers when an exception's frame has them (bit 4 of the
/// exception's link register is 0). Apps' host functions may use them on a processor that has them.
#[cfg(target_abi = "eabihf")]
macro_rules! when_floats {
    ($instruction:literal) => {
        concat!("tst lr, #0x10\n it eq\n ", $instruction)
    };
}

#[cfg(not(target_abi = "eabihf"))]
macro_rules! when_floats {
    ($instruction:literal) => {
        ""
    };
}

/// `svc`, of the executor or of an app.
///
/// # Safety
/// For the vector table only.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn SVCall() {
    naked_asm!(
        "tst lr, #4", // which stack was in use?
        "itt ne",
        "movne r3, #0", // an app's: a host call
        "bne {leave}",
        "movw r1, #:lower16:{enter}", // the executor's: which app?
        "movt r1, #:upper16:{enter}",
        "ldr r0, [r1]",
        "cbz r0, 1f", // none: see ENTER
        "movs r2, #0",
        "str r2, [r1]",
        when_floats!("vpusheq {{s16-s31}}"), // the executor's registers; r3 keeps the stack aligned
        "push {{r3-r11, lr}}",
        "movw r1, #:lower16:{current}",
        "movt r1, #:upper16:{current}",
        "str r0, [r1]",
        "ldmia r0!, {{r4-r11}}", // the app's
        "ldr r1, [r0]",
        "msr psp, r1",
        "ldr lr, [r0, #4]",
        "add r0, #12",
        when_floats!("vldmiaeq r0, {{s16-s31}}"),
        "mrs r1, control", // thread mode becomes unprivileged
        "orr r1, #1",
        "msr control, r1",
        "1: bx lr",
        enter = sym ENTER,
        current = sym CURRENT,
        leave = sym leave,
    )
}

/// From an app to the executor; in r3 is why. A part of the handlers around it: the link register is the exception's.
///
/// # Safety
/// Branched to by the handlers here only.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!(
        "movw r1, #:lower16:{current}",
        "movt r1, #:upper16:{current}",
        "ldr r0, [r1]",
        "stmia r0!, {{r4-r11}}", // the app's registers
        "mrs r1, psp",
        "str r1, [r0]",
        "str lr, [r0, #4]",
        "str r3, [r0, #8]",
        "add r0, #12",
        when_floats!("vstmiaeq r0, {{s16-s31}}"),
        "mrs r1, control", // thread mode becomes privileged
        "bic r1, #1",
        "msr control, r1",
        "pop {{r3-r11, lr}}", // the executor's, as SVCall left them
        when_floats!("vpopeq {{s16-s31}}"),
        "bx lr",
        current = sym CURRENT,
    )
}

/// Asked for by interrupts: the executor has to run.
///
/// # Safety
/// For the vector table only.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn PendSV() {
    naked_asm!(
        "tst lr, #4", // it runs already
        "it eq",
        "bxeq lr",
        "movs r3, #1",
        "b {leave}",
        leave = sym leave,
    )
}

/// Every fault. An app's ends the app; one of the executor or of an interrupt is a defect of the firmware.
macro_rules! fault {
    ($($name:ident)*) => {$(
        /// # Safety
        /// For the vector table only.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                "tst lr, #4",
                "itt ne",
                "movne r3, #2",
                "bne {leave}",
                "mov r0, sp",
                "b {crash}",
                leave = sym leave,
                crash = sym crate::faults::crash,
            )
        }
    )*};
}

fault!(HardFault MemoryManagement BusFault UsageFault);
