//! PID 1 of an image for figures. With a `/plan`: makes the simulated devices, does what the plan says, and powers off. Without
//! one there is vyomad: a native loop runs alone on the machine, then vyomad takes over.

use std::error::Error;
use std::ffi::CStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The priority of loops and waiters: that of apps/guests/device-speed/vyoma.toml.
const PRIORITY: i32 = 50;
/// Rounds of the loop: a minute.
const ROUNDS: &str = "60000";
/// From one change of the line to the next.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn init() -> Result<(), Box<dyn Error>> {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/init"));
    let Ok(plan) = fs::read_to_string("/plan") else {
        let mut native = Command::new("/device-speed");
        native.args(["native", "ticks", ROUNDS]);
        // SAFETY: one system call, without memory or locks.
        let native = unsafe { native.pre_exec(|| realtime().map_err(io::Error::other)) };
        report("native", native.stdout(Stdio::piped()))?;
        return Err(Command::new("/init").exec().into());
    };
    let done = make_devices().and_then(|()| follow(&own, &plan));
    println!(
        "device-speed: {}",
        done.map_or_else(|error| error.to_string(), |()| "done".into())
    );
    // SAFETY: no memory is touched; nothing is mounted that would have to be written.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    loop {
        thread::park();
    }
}

/// This program as the platforms build it that have WAMR: for size, at a fixed address.
const SMALL: &str = "/small";

/// `native i2c 100`, `wasmtime i2c 100`, `compile wasmtime /guest.wasm /wasmtime`
fn follow(own: &Path, plan: &str) -> Result<(), Box<dyn Error>> {
    for line in plan.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let way = words[0];
        let small = way.starts_with("wamr") && Path::new(SMALL).exists();
        let mut command = Command::new(if small { Path::new(SMALL) } else { own });
        match *words.as_slice() {
            ["compile" | "native" | "bare", ..] => command.args(&words),
            // The artefact has the name of the way; its engine is the first word of that.
            [way, work, rounds] => {
                let engine = way.split('-').next().unwrap_or(way);
                command.args(["run", engine, &format!("/{way}"), work, rounds])
            }
            _ => return Err(format!("no such plan: {line}").into()),
        };
        report(way, command.stdout(Stdio::piped()))?;
    }
    Ok(())
}

/// Runs it and says on the console what it said, with its name before each line. While it waits for edges, a line changes.
fn report(way: &str, command: &mut Command) -> Result<(), Box<dyn Error>> {
    let mut child = command.spawn()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for line in BufReader::new(child.stdout.take().ok_or("no pipe")?).lines() {
            let line = line?;
            println!("{way} {line}");
            if line == "edges: waits" {
                scope.spawn(|| change(&over));
            }
        }
        over.store(true, Ordering::Relaxed);
        Ok::<_, Box<dyn Error>>(())
    })?;
    let status = child.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{way}: {status}").into())
    }
}

/// Changes line 2 again and again.
fn change(over: &AtomicBool) {
    let chips = fs::read_dir("/sys/devices/platform/gpio-sim.0")
        .into_iter()
        .flatten()
        .flatten();
    let Some(pull) = chips
        .map(|entry| entry.path().join("sim_gpio2/pull"))
        .find(|path| path.exists())
    else {
        return println!("device-speed: gpio-sim has no line 2");
    };
    while !over.load(Ordering::Relaxed) {
        for text in ["pull-up", "pull-down"] {
            thread::sleep(PAUSE);
            let _ = fs::write(&pull, text);
        }
    }
}

fn make_devices() -> Result<(), Box<dyn Error>> {
    for (kind, to) in [
        (c"proc", c"/proc"),
        (c"sysfs", c"/sys"),
        (c"devtmpfs", c"/dev"),
        (c"configfs", c"/config"),
    ] {
        fs::create_dir_all(to.to_str()?)?;
        mount(kind, to)?;
    }
    let module = fs::read("/vyoma-sim.ko")?;
    // SAFETY: the kernel copies so many bytes, and a string that ends.
    let loaded = unsafe {
        libc::syscall(
            libc::SYS_init_module,
            module.as_ptr(),
            module.len(),
            c"".as_ptr(),
        )
    };
    outcome(loaded as i32)?;
    let chip = Path::new("/config/gpio-sim/vyoma");
    fs::create_dir_all(chip.join("bank"))?;
    fs::write(chip.join("bank/num_lines"), "8")?;
    fs::write(chip.join("bank/label"), "vyoma-gpio")?;
    Ok(fs::write(chip.join("live"), "1")?)
}

fn mount(kind: &CStr, to: &CStr) -> io::Result<()> {
    // SAFETY: strings that end, and file systems that take no options.
    outcome(unsafe {
        libc::mount(
            kind.as_ptr(),
            to.as_ptr(),
            kind.as_ptr(),
            0,
            std::ptr::null(),
        )
    })
}

fn outcome(status: i32) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Puts this process before all ordinary ones, with its memory locked, as robotics-rt does with an app that asks for it.
pub(crate) fn realtime() -> Result<(), String> {
    // SAFETY: a structure of one number, or what else the C library has in it, all zero.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = PRIORITY;
    // SAFETY: it is only read; 0 is this process.
    let scheduled = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_FIFO,
            &raw const parameters,
        )
    };
    // SAFETY: no memory is passed.
    let locked = unsafe { libc::mlockall(libc::MCL_CURRENT) };
    outcome(scheduled as i32)
        .and_then(|()| outcome(locked))
        .map_err(|error| format!("real time: {error}"))
}
