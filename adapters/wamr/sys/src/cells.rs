//! Arguments and results of host functions: from WAMR's cells of 32 bits to words of 64, one for each value, and back.

use core::mem::MaybeUninit;

/// Which parameters and results of a host function take two cells.
#[derive(Debug, Clone, Copy)]
pub struct Cells {
    params: usize,
    /// Bit n: parameter n has 64 bits.
    wide: u32,
    /// Cells of the result: 0 to 2.
    result: usize,
}

/// Room for the words of one call: one for each parameter, and at least one, for a result.
#[derive(Debug)]
pub struct Words([MaybeUninit<u64>; Cells::MOST]);

impl Words {
    /// Without any.
    #[inline]
    #[expect(clippy::new_without_default, reason = "there is one way to use it")]
    pub fn new() -> Self {
        Self([MaybeUninit::uninit(); Cells::MOST])
    }
}

impl Cells {
    /// Most parameters: 16 core values of the canonical ABI and a place for what is returned in memory.
    pub const MOST: usize = 17;

    /// Of whether each parameter has 64 bits, and the result if there is one. None for more than [`Self::MOST`] parameters.
    pub fn new(params: impl IntoIterator<Item = bool>, result: Option<bool>) -> Option<Self> {
        let mut cells = Self {
            params: 0,
            wide: 0,
            result: result.map_or(0, |wide| 1 + usize::from(wide)),
        };
        for wide in params {
            if cells.params == Self::MOST {
                return None;
            }
            cells.wide |= u32::from(wide) << cells.params;
            cells.params += 1;
        }
        Some(cells)
    }

    /// The arguments of a call in their words.
    ///
    /// # Safety
    ///
    /// `cells` are as many as the parameters take.
    #[inline]
    pub unsafe fn read<'a>(&self, mut cells: *const u32, words: &'a mut Words) -> &'a mut [u64] {
        // For a result, where there is no argument.
        words.0[0] = MaybeUninit::new(0);
        let mut wide = self.wide;
        for word in words.0.iter_mut().take(self.params) {
            // SAFETY: the cells of this parameter, as the caller promises.
            unsafe {
                let mut value = u64::from(*cells);
                cells = cells.add(1);
                if wide & 1 == 1 {
                    value |= u64::from(*cells) << 32;
                    cells = cells.add(1);
                }
                *word = MaybeUninit::new(value);
                wide >>= 1;
            }
        }
        // SAFETY: so many were written just now: those of the parameters, of which `new` took no more than there are words, and the
        // first in any case.
        unsafe { core::slice::from_raw_parts_mut(words.0.as_mut_ptr().cast(), self.params.max(1)) }
    }

    /// Writes the result of a call, which its host function left in the first word.
    ///
    /// # Safety
    ///
    /// `result` has room for the cells of the result.
    #[inline]
    pub unsafe fn write(&self, word: u64, result: *mut u32) {
        // SAFETY: as the caller promises.
        unsafe {
            if self.result > 0 {
                *result = word as u32;
            }
            if self.result > 1 {
                *result.add(1) = (word >> 32) as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_a_word_whatever_cells_it_took() {
        let cells = Cells::new([false, true, false], None).unwrap();
        let mut words = Words::new();
        // SAFETY: one, two and one.
        let read = unsafe { cells.read([1, 2, 3, u32::MAX].as_ptr(), &mut words) };
        assert_eq!(read, [1, 3 << 32 | 2, u64::from(u32::MAX)]);
    }

    #[test]
    fn a_function_without_parameters_has_a_word_for_its_result() {
        let cells = Cells::new([], Some(true)).unwrap();
        let mut words = Words::new();
        // SAFETY: there is none to read.
        assert_eq!(unsafe { cells.read([].as_ptr(), &mut words) }.len(), 1);
    }

    #[test]
    fn a_result_takes_the_cells_of_its_type() {
        for (result, left) in [(None, [7, 7]), (Some(false), [2, 7]), (Some(true), [2, 1])] {
            let mut cells = [7; 2];
            // SAFETY: room for the widest.
            unsafe {
                Cells::new([], result)
                    .unwrap()
                    .write(1 << 32 | 2, cells.as_mut_ptr());
            };
            assert_eq!(cells, left);
        }
    }

    #[test]
    fn more_parameters_than_a_host_function_has_are_refused() {
        assert!(Cells::new([true; Cells::MOST], None).is_some());
        assert!(Cells::new([true; Cells::MOST + 1], None).is_none());
    }
}
