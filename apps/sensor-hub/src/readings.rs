//! What was last said under each name. No I/O, no clock.

use std::time::Instant;

/// Most names that are kept; the one that was not heard of for the longest time makes room.
const MAX_NAMES: usize = 32;
/// Longest name and value in bytes; what is longer is cut.
const MAX_NAME: usize = 32;
const MAX_VALUE: usize = 128;

/// The last thing said under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) at: Instant,
    /// How many there were.
    pub(crate) count: u64,
}

/// All of them, in the order in which their names were first heard.
#[derive(Debug, Default)]
pub(crate) struct Readings(Vec<Reading>);

impl Readings {
    /// Takes a line: a name, and after a space its value. A line without a value says nothing.
    pub(crate) fn take(&mut self, line: &str, now: Instant) {
        let Some((name, value)) = line.trim().split_once(' ') else {
            return;
        };
        let (name, value) = (cut(name, MAX_NAME), cut(value.trim(), MAX_VALUE));
        if let Some(known) = self.0.iter_mut().find(|known| known.name == name) {
            value.clone_into(&mut known.value);
            known.at = now;
            known.count += 1;
            return;
        }
        if self.0.len() == MAX_NAMES {
            let oldest = self.0.iter().enumerate().min_by_key(|(_, known)| known.at);
            if let Some((place, _)) = oldest {
                self.0.remove(place);
            }
        }
        self.0.push(Reading {
            name: name.to_owned(),
            value: value.to_owned(),
            at: now,
            count: 1,
        });
    }

    pub(crate) fn all(&self) -> &[Reading] {
        &self.0
    }
}

/// At most so many bytes of it, and no half characters.
fn cut(text: &str, most: usize) -> &str {
    let end = text.floor_char_boundary(most);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_value_of_each_name_is_kept_and_how_many_there_were() {
        let now = Instant::now();
        let mut readings = Readings::default();
        for line in [
            "temperature 25.00 C",
            "voltage 1.650 V",
            "temperature 26.50 C",
            "nothing",
        ] {
            readings.take(line, now);
        }
        let all: Vec<_> = readings
            .all()
            .iter()
            .map(|it| (&*it.name, &*it.value, it.count))
            .collect();
        assert_eq!(
            all,
            [("temperature", "26.50 C", 2), ("voltage", "1.650 V", 1)]
        );
    }

    #[test]
    fn names_and_values_are_bounded_whatever_is_said() {
        let now = Instant::now();
        let mut readings = Readings::default();
        for number in 0..100_u32 {
            readings.take(
                &format!("name{number} 1"),
                now + Duration::from_secs(number.into()),
            );
        }
        assert_eq!(readings.all().len(), MAX_NAMES);
        assert!(readings.all().iter().any(|it| it.name == "name99"));
        assert!(!readings.all().iter().any(|it| it.name == "name0"));
        readings.take(
            &format!("{} {}", "n".repeat(1000), "ä".repeat(1000)),
            now + Duration::from_hours(1),
        );
        let last = &readings.all()[MAX_NAMES - 1];
        assert_eq!((last.name.len(), last.value.len()), (MAX_NAME, MAX_VALUE));
    }
}
