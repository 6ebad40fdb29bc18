//! What compiled code may ask of a processor. Named, never inferred, so that one component has one artefact on all
//! machines of a level and an image built on a newer machine still starts on an older one.

use crate::EngineError;

/// An architecture and the instructions beyond its first version that code may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuLevel {
    /// x86-64 as of 2003: SSE2.
    V1,
    /// x86-64-v2 (psABI): SSE3 to SSE4.2 and POPCNT; every processor since about 2010. Rounding a float is one instruction
    /// from here on, a call before.
    V2,
    /// Armv8.0-A: what every 64-bit Arm processor has.
    V8,
}

impl CpuLevel {
    /// The highest level that the running processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let v2 = std::is_x86_feature_detected!("sse3")
                && std::is_x86_feature_detected!("ssse3")
                && std::is_x86_feature_detected!("sse4.1")
                && std::is_x86_feature_detected!("sse4.2")
                && std::is_x86_feature_detected!("popcnt");
            if v2 { Self::V2 } else { Self::V1 }
        }
        #[cfg(target_arch = "aarch64")]
        {
            Self::V8
        }
    }

    /// Reads what [`CpuLevel::name`] gives.
    pub fn parse(name: &str) -> Result<Self, EngineError> {
        match name {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            "v8" => Ok(Self::V8),
            _ => Err(EngineError::Refused(format!(
                "unknown CPU level `{name}`; expected v1 or v2 (x86_64) or v8 (aarch64)"
            ))),
        }
    }

    /// `v1`, `v2` or `v8`
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V8 => "v8",
        }
    }

    /// Architecture, as Rust names it.
    pub fn arch(self) -> &'static str {
        match self {
            Self::V1 | Self::V2 => "x86_64",
            Self::V8 => "aarch64",
        }
    }

    /// Target triple of the code. The C library in it makes no difference to the code: devices have musl, so it says musl.
    pub fn target(self) -> &'static str {
        match self {
            Self::V1 | Self::V2 => "x86_64-unknown-linux-musl",
            Self::V8 => "aarch64-unknown-linux-musl",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_others_are_refused_with_the_choices() {
        for level in [CpuLevel::V1, CpuLevel::V2, CpuLevel::V8] {
            assert_eq!(CpuLevel::parse(level.name()).unwrap(), level);
        }
        let error = CpuLevel::parse("v3").unwrap_err().to_string();
        assert!(
            error.contains("`v3`") && error.contains("v1 or v2"),
            "{error}"
        );
        assert_eq!(CpuLevel::detect().arch(), std::env::consts::ARCH);
    }
}
