//! Why something can't be opened.

/// Makes an enumeration of errors from the cases of a WIT enumeration or variant, in their order, with words for people.
macro_rules! errors {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$case_doc])* $case,)*
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$case,)*];

            /// The case of that number; the last one for a number that is none.
            #[allow(dead_code, reason = "only a host has numbers")]
            pub(crate) fn case(number: u8) -> Self {
                let last = Self::ALL[Self::ALL.len() - 1];
                Self::ALL.get(usize::from(number)).copied().unwrap_or(last)
            }

            /// In words.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$case => $text,)*
                }
            }
        }

        impl ::vyoma::print::Show for $name {
            fn show(&self, line: &mut ::vyoma::print::Line) {
                line.text(self.text());
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl ::core::error::Error for $name {}
    };
}
pub(crate) use errors;

errors! {
    /// Why a bus, a serial port or a converter can't be opened or used (vyoma:device/types, error-code).
    OpenError {
        /// The manifest does not declare it.
        NotAllowed = "not declared in vyoma.toml",
        /// This platform does not have it, whatever the manifest says.
        NotSupported = "not on this platform",
        /// Another app has it, or this one has it open already.
        AlreadyInUse = "already in use",
        /// The board has nothing of that label or number.
        NoSuchDevice = "the board has no such device",
        /// A setting that the device can't have.
        InvalidArgument = "the device can't have this setting",
        /// The device fails, or went away.
        HardwareFault = "the device fails",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_numbered_as_in_wit_and_a_number_beyond_them_is_the_last() {
        assert_eq!(OpenError::case(0), OpenError::NotAllowed);
        assert_eq!(OpenError::case(3), OpenError::NoSuchDevice);
        assert_eq!(OpenError::case(200), OpenError::HardwareFault);
        assert_eq!(
            OpenError::NotAllowed.to_string(),
            "not declared in vyoma.toml"
        );
    }
}
