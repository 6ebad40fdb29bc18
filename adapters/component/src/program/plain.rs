//! The plain shape: one core module that runs, all of whose imports are host functions.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::parts::{Callee, Parts, is_realloc, unconnected};
use super::{CoreType, Import, Program, Refusal, Signature};
use crate::guest::Realloc;
use crate::reader::items::{CoreExport, CoreSort};
use crate::reader::module::Module;

/// Most function imports. All of WASI 0.2 has under 300; the bound keeps what a hostile component can ask for small.
pub(super) const MAX_IMPORTS: usize = 1000;
/// Most parameters of a lowered function: 16, and a pointer for results (canonical ABI, MAX_FLAT_PARAMS).
const MAX_PARAMS: usize = 17;

/// The program, or why the component is not of the plain shape.
pub(super) fn program<'a>(
    parts: &Parts<'a>,
    run: CoreExport<'a>,
) -> Result<Result<Program<'a>, String>, Refusal> {
    let mut real = parts.real();
    let Some((instance, unit)) = real.next() else {
        return Err(Refusal::Shape(
            "instantiates no core module with code; expected a program".to_string(),
        ));
    };
    if let Some((_, other)) = real.next() {
        return Ok(Err(format!(
            "has several core modules ({} and {}), as the preview-1 adapter makes them",
            unit.module.place(),
            other.module.place()
        )));
    }
    let module = &unit.module;
    if let Some(import) = module
        .imports
        .iter()
        .find(|import| import.sort != CoreSort::Func)
    {
        return Ok(Err(format!(
            "`{} {}` that {} imports is no function",
            import.module,
            import.field,
            module.place()
        )));
    }
    if module.memories > 1 {
        return Err(several_memories());
    }
    check_count(module.imports.len())?;
    let run = parts.direct(run)?;
    let run_index = parts.exported(CoreSort::Func, run)?;
    check_run(module, run_index)?;

    let mut reallocs: Vec<Cow<'a, str>> = Vec::new();
    let mut imports = Vec::new();
    for (index, import) in (0_u32..).zip(&module.imports) {
        let (callee, shimmed) = parts.callee(parts.argument(instance, import)?)?;
        let Callee::Host(function) = callee else {
            return Ok(Err(format!(
                "`{} {}` that {} imports is its own function",
                import.module,
                import.field,
                module.place()
            )));
        };
        if shimmed && module.start.is_some() {
            // The start function runs before the fixups do: what it imports is not connected yet, and calling it traps.
            return Ok(Err(format!(
                "{} has a start function, which runs before its imports are connected",
                module.place()
            )));
        }
        let (target, options) = parts.host(function)?;
        parts.memory(options)?;
        let realloc = match options.realloc {
            None => None,
            Some(function) => {
                let name = realloc(parts, module, function)?;
                let at = reallocs
                    .iter()
                    .position(|known| known == name)
                    .unwrap_or_else(|| {
                        reallocs.push(name.into());
                        reallocs.len() - 1
                    });
                Some(Realloc(at as u32))
            }
        };
        imports.push(Import {
            module: import.module.into(),
            field: import.field.into(),
            signature: signature(import.field, module.function(index))?,
            target,
            realloc,
        });
    }
    Ok(Ok(Program {
        module: module.bytes.rest().into(),
        imports,
        run: run.name.into(),
        reallocs,
        needs: module.needed(),
    }))
}

/// The export that a `realloc` option names.
fn realloc<'a>(parts: &Parts<'a>, module: &Module<'a>, function: u32) -> Result<&'a str, Refusal> {
    let export = parts
        .core_export(function)
        .ok_or_else(|| unconnected("", "realloc"))?;
    let export = parts.direct(export)?;
    let index = parts.exported(CoreSort::Func, export)?;
    check_realloc(export.name, module.function(index).as_ref())?;
    Ok(export.name)
}

pub(super) fn check_realloc(name: &str, signature: Option<&Signature>) -> Result<(), Refusal> {
    if signature.is_some_and(is_realloc) {
        return Ok(());
    }
    Err(Refusal::Shape(format!(
        "`{name}` is used as realloc, but is no function (i32, i32, i32, i32) -> i32"
    )))
}

pub(super) fn check_run(module: &Module<'_>, index: u32) -> Result<(), Refusal> {
    let expected = Signature {
        params: Vec::new(),
        result: Some(CoreType::I32),
    };
    if module.function(index) == Some(expected) {
        return Ok(());
    }
    Err(Refusal::Shape(format!(
        "the core function of `run`, in {}, is not () -> i32",
        module.place()
    )))
}

pub(super) fn signature(field: &str, signature: Option<Signature>) -> Result<Signature, Refusal> {
    signature
        .filter(|signature| signature.params.len() <= MAX_PARAMS)
        .ok_or_else(|| {
            Refusal::Shape(format!(
                "imports `{field}` with a core signature that no lowered function has; expected at most {MAX_PARAMS} parameters and one result, of types i32, i64, f32 and f64"
            ))
        })
}

pub(super) fn check_count(imports: usize) -> Result<(), Refusal> {
    if imports <= MAX_IMPORTS {
        return Ok(());
    }
    Err(Refusal::Shape(format!(
        "imports {imports} functions; at most {MAX_IMPORTS} are supported"
    )))
}

pub(super) fn several_memories() -> Refusal {
    Refusal::Shape(String::from(
        "has several memories; engines here give a program one",
    ))
}
