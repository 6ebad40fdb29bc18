//! The command's entry: the export `wasi:cli/run`, through the component that wraps it.

use alloc::format;
use alloc::string::String;

use super::Refusal;
use super::parts::{MAX_HOPS, Parts, nested, too_far};
use crate::reader::bytes::Bytes;
use crate::reader::component::Component;
use crate::reader::items::{CoreExport, Func, Instance, Sort};
use crate::reader::types::{Type, is_plain_result, result_of_no_parameters};
use crate::sorted::Set;

impl<'a> Parts<'a> {
    /// The core function that `wasi:cli/run` is.
    pub(super) fn run(&self) -> Result<CoreExport<'a>, Refusal> {
        let (interface, instance) = self
            .component
            .exports
            .iter()
            .filter_map(|(name, item)| Some((patch(name)?, *name, *item)))
            // As Wasmtime does, the newest of several.
            .max_by_key(|(patch, ..)| *patch)
            .and_then(|(_, name, (sort, index))| (sort == Sort::Instance).then_some((name, index)))
            .ok_or_else(|| {
                Refusal::Shape(String::from(
                    "exports no `wasi:cli/run@0.2.x`: a library, not a command; build a binary with a `main`",
                ))
            })?;
        let no_run = || Refusal::Shape(format!("exports `{interface}` without its function `run`"));
        let mut func = match self.instance(instance)? {
            Instance::Exports(exports) => match exports.get("run") {
                Some((Sort::Func, index)) => *index,
                _ => return Err(no_run()),
            },
            Instance::Component { component, args } => {
                let wrapper = Component::read(self.component.components[*component as usize])?;
                let Some((Sort::Func, index)) = wrapper.exports.get("run") else {
                    return Err(no_run());
                };
                let mut index = *index;
                let mut hops = 0;
                let name = loop {
                    match wrapper.funcs[index as usize] {
                        Func::Import(name) => break name,
                        Func::Same(earlier) if hops < MAX_HOPS => index = earlier,
                        _ => return Err(no_run()),
                    }
                    hops += 1;
                };
                match args.get(name) {
                    Some((Sort::Func, index)) => *index,
                    _ => return Err(no_run()),
                }
            }
            _ => return Err(nested(interface)),
        };
        for _ in 0..MAX_HOPS {
            match self.component.funcs[func as usize] {
                Func::Same(earlier) => func = earlier,
                Func::Lift { core, options, ty } => {
                    if options.refused.is_some() || options.post_return.is_some() {
                        return Err(Refusal::Shape(format!(
                            "lifts `run` of `{interface}` with `{}`; expected no such option",
                            options.refused.unwrap_or("post-return")
                        )));
                    }
                    if !self.is_run(ty) {
                        return Err(Refusal::Shape(format!(
                            "`run` of `{interface}` has another type than `func() -> result`"
                        )));
                    }
                    return self.core_export(core).ok_or_else(no_run);
                }
                Func::Import(_) | Func::Export { .. } => return Err(no_run()),
            }
        }
        Err(too_far("run"))
    }

    /// Whether a type is `func() -> result`.
    fn is_run(&self, ty: u32) -> bool {
        self.definition(ty)
            .and_then(result_of_no_parameters)
            .and_then(|result| self.definition(result))
            .is_some_and(is_plain_result)
    }

    fn definition(&self, mut ty: u32) -> Option<Bytes<'a>> {
        for _ in 0..MAX_HOPS {
            match self.component.types.get(ty as usize)? {
                Type::Same(earlier) => ty = *earlier,
                Type::Other(bytes) => return Some(*bytes),
                _ => return None,
            }
        }
        None
    }
}

/// Refuses components in the component that do more than give another type to what they are given.
pub(super) fn wrappers_only(component: &Component<'_>) -> Result<(), Refusal> {
    let mut seen = Set::new();
    for instance in &component.instances {
        let Instance::Component { component: of, .. } = instance else {
            continue;
        };
        let bytes = component.components[*of as usize];
        if !seen.insert(bytes.offset()) {
            continue;
        }
        let inner = Component::read(bytes)?;
        let wraps = inner.modules.is_empty()
            && inner.core_instances.is_empty()
            && inner.core_funcs.is_empty()
            && inner.components.is_empty()
            && inner
                .instances
                .iter()
                .all(|instance| !matches!(instance, Instance::Component { .. }));
        if !wraps {
            return Err(Refusal::Shape(format!(
                "nested component at offset {:#x} with code of its own, which engines without a component model can't run; expected one component",
                bytes.offset()
            )));
        }
    }
    Ok(())
}

/// `wasi:cli/run@0.2.6` -> 6; none for another name or version.
fn patch(name: &str) -> Option<u32> {
    let patch = name.strip_prefix("wasi:cli/run@0.2.")?;
    let digits = patch.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| patch.parse().ok())?
}
