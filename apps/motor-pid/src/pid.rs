//! The controller, in whole numbers: the same on every engine, and cheap where floats are.

/// Gains are in 256ths.
const ONE: i64 = 256;

/// A controller with a proportional, an integral and a derivative part.
pub(crate) struct Pid {
    proportional: i64,
    integral: i64,
    derivative: i64,
    /// The output is from 0 to this.
    full: i32,
    /// Sum of the differences, times the integral gain.
    sum: i64,
    before: i32,
}

impl Pid {
    /// With gains in 256ths, the last two by tick.
    pub(crate) fn new(proportional: i32, integral: i32, derivative: i32, full: i32) -> Self {
        Self {
            proportional: proportional.into(),
            integral: integral.into(),
            derivative: derivative.into(),
            full,
            sum: 0,
            before: 0,
        }
    }

    /// The output after one tick with this difference between what is wanted and what is.
    pub(crate) fn step(&mut self, difference: i32) -> i32 {
        // What the integral part alone may ask for is what there is: so it doesn't wind up while the output can't follow.
        let sum = self.sum + self.integral * i64::from(difference);
        self.sum = sum.clamp(0, i64::from(self.full) * ONE);
        let change = i64::from(difference) - i64::from(self.before);
        self.before = difference;
        let output =
            self.proportional * i64::from(difference) + self.sum + self.derivative * change;
        i32::try_from((output / ONE).clamp(0, self.full.into())).unwrap_or(self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A motor that takes a quarter of the way to its speed in each tick.
    fn run(pid: &mut Pid, wanted: i32, speed: &mut i32, ticks: u32) {
        for _ in 0..ticks {
            let output = pid.step(wanted - *speed);
            *speed += (output - *speed) / 4;
        }
    }

    #[test]
    fn the_speed_is_reached_and_kept() {
        let mut pid = Pid::new(128, 3, 0, 4095);
        let mut speed = 0;
        run(&mut pid, 2048, &mut speed, 2000);
        assert!((2040..=2056).contains(&speed), "{speed}");
        run(&mut pid, 500, &mut speed, 2000);
        assert!((492..=508).contains(&speed), "{speed}");
    }

    #[test]
    fn what_can_not_be_reached_is_left_at_once_when_less_is_wanted() {
        let mut pid = Pid::new(128, 3, 0, 4095);
        for _ in 0..100_000 {
            assert!(pid.step(i32::MAX) == 4095);
        }
        // Had the sum gone on growing, this would take as long as that did.
        let ticks = (0..1000).take_while(|_| pid.step(-1000) > 0).count();
        assert!(ticks < 500, "{ticks}");
    }
}
