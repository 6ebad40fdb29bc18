//! One app's life: the task that drives its lifecycle machine. It decides nothing itself (that is
//! `vyoma_capabilities::lifecycle`): it does what the machine says and tells it what happened.

use alloc::format;
use alloc::rc::Rc;

use embassy_futures::select::{Either, select};
use embassy_time::{Instant, Timer};
use vyoma_capabilities::lifecycle::{Action, Actions, Ending, Event, Phase};

use vyoma_capabilities::control::Stream;
use vyoma_mcu_core::store::Cause;

use super::{App, Device, Order, now_ms, serve};
use crate::constants::MAX_APPS;

/// Lives an app's life, as long as something of it is to come; then it has no task, until it is started again.
#[embassy_executor::task(pool_size = MAX_APPS)]
pub(super) async fn live(device: &'static Device, app: Rc<App>) {
    let mut event = None;
    loop {
        let rests = matches!(
            app.phase(),
            Phase::Exited | Phase::Stopped | Phase::Quarantined
        );
        if rests && event.is_none() && !app.order.signaled() {
            app.driven.set(false);
            return;
        }
        let next = match event.take() {
            Some(event) => event,
            None => wait(&app).await,
        };
        let before = app.phase();
        let actions = app.machine.borrow_mut().handle(now_ms(), next);
        let spawn = perform(device, &app, actions).await;
        if app.phase() == Phase::Backoff && before != Phase::Backoff {
            let until = app.machine.borrow().wake_at().unwrap_or(0);
            let text = format!("restarts in {} ms", until.saturating_sub(now_ms()));
            device.log(&app, Stream::System, &text).await;
        }
        if spawn {
            event = Some(Event::Ended(run(device, &app).await));
        }
    }
}

/// What happens to an app that does not run.
async fn wait(app: &App) -> Event {
    let wake_at = app.machine.borrow().wake_at();
    let time = async {
        match wake_at {
            Some(ms) => Timer::at(Instant::from_millis(ms)).await,
            None => core::future::pending().await,
        }
    };
    match select(app.order.wait(), time).await {
        Either::First(order) => event(order),
        Either::Second(()) => Event::Tick,
    }
}

fn event(order: Order) -> Event {
    match order {
        Order::Start => Event::Start,
        Order::Stop => Event::Stop,
        Order::Restart => Event::Restart,
    }
}

/// Does what the machine says, and tells whether a run is among it.
async fn perform(device: &Device, app: &App, actions: Actions) -> bool {
    let mut spawn = false;
    for action in actions {
        match action {
            Action::Spawn => spawn = true,
            // Whoever ran it has ended it already.
            Action::Terminate | Action::Kill => {}
            Action::Epitaph(ending) => {
                let text = format!("{ending}");
                device.log(app, Stream::System, &text).await;
                device.event(Some(app.name()), "app-ended", &text).await;
                if app.figures().arena > 0 {
                    let text = app.figures().line();
                    device.event(Some(app.name()), "memory", &text).await;
                }
            }
            Action::Quarantine => {
                device.log(app, Stream::System, "quarantined").await;
                device.quarantine(app.name(), Cause::KeptFailing);
                let detail =
                    "it failed too often too quickly and stays down; vyomactl start brings it back";
                device
                    .event(Some(app.name()), "app-quarantined", detail)
                    .await;
            }
        }
    }
    spawn
}

/// Runs an app to its end, or until an order or its watchdog ends it.
async fn run(device: &'static Device, app: &Rc<App>) -> Ending {
    let ended = async {
        // Whatever ends the run first: dropping it takes the arena back, and with it all that the app had.
        let mut running = core::pin::pin!(serve::run(device, app));
        loop {
            match select(&mut running, app.order.wait()).await {
                Either::First(ending) => return ending,
                Either::Second(order) => {
                    let actions = app.machine.borrow_mut().handle(now_ms(), event(order));
                    if app.phase() == Phase::Stopping {
                        // Terminate, or nothing yet: there is no grace here, so it is over now.
                        drop(actions);
                        return Ending::Stopped;
                    }
                }
            }
        }
    };
    ended.await
}
