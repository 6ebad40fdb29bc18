//! The linked shape: several core modules made into one.
//!
//! All functions, globals, tables and segments of the modules come one module after the other, in the order of
//! instantiation, and what a module imports from another becomes a use of it. Imports of host functions are what is left.
//! The order in which the component's instantiation has effects stays: a module's segments come after the start functions
//! of the modules before it. The same component gives the same bytes.

mod layout;
mod reencode;
mod start;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use wasm_encoder::{
    CodeSection, DataCountSection, DataSection, ElementSection, EntityType, ExportKind,
    ExportSection, FunctionSection, GlobalSection, ImportSection, MemorySection, Module,
    StartSection, TableSection, TypeSection,
};

use self::layout::Layout;
use self::reencode::{Mapper, Unit};
use self::start::Begin;
use super::parts::{Callee, Parts, unconnected};
use super::plain::{check_realloc, check_run};
use super::{Import, Program, Refusal, Target};
use crate::guest::Realloc;
use crate::reader::bytes::Bytes;
use crate::reader::items::CoreExport;

/// The program of a component of the linked shape.
pub(super) fn program<'a>(
    mut parts: Parts<'a>,
    run: CoreExport<'a>,
) -> Result<Program<'a>, Refusal> {
    if start::may_call_shim(&parts)? {
        // That call traps, since nothing has filled the shim's table yet. With the shim in the program it still does.
        parts.keep_shims();
    }
    let layout = Layout::of(&parts)?;
    let mut units = Vec::new();
    for (_, unit) in parts.real() {
        units.push(Unit::read(&unit.module)?);
    }
    let (run, _) = parts.callee(run)?;
    if let Callee::Defined { instance, function } = run
        && let Some(unit) = parts.unit(instance)
    {
        check_run(&unit.module, function)?;
    }

    let mut reallocs = Vec::new();
    let mut imports: Vec<Import<'a>> = Vec::new();
    for host in &layout.hosts {
        let realloc = match host.realloc {
            None => None,
            Some(function) => Some(realloc(&parts, function, &mut reallocs)?),
        };
        let (module, field) = name(&host.target, &imports);
        imports.push(Import {
            module,
            field,
            signature: host.signature.clone(),
            target: host.target.clone(),
            realloc,
        });
    }
    let mut exports = Vec::new();
    exports.push((String::from("run"), layout.callee(run)?));
    for (index, realloc) in reallocs.iter().enumerate() {
        exports.push((realloc_name(index), layout.callee(*realloc)?));
    }
    let module = encode(&layout, &units, &imports, &exports)?;
    let needs = crate::reader::module::Module::read(Bytes::new(&module))?.needed();
    Ok(Program {
        module: module.into(),
        imports,
        run: "run".into(),
        reallocs: (0..reallocs.len())
            .map(|index| realloc_name(index).into())
            .collect(),
        needs,
    })
}

fn realloc_name(index: usize) -> String {
    format!("realloc-{index}")
}

/// The number of the core function `function` among the reallocs.
fn realloc(parts: &Parts<'_>, function: u32, known: &mut Vec<Callee>) -> Result<Realloc, Refusal> {
    let export = parts
        .core_export(function)
        .ok_or_else(|| unconnected("", "realloc"))?;
    let (callee, _) = parts.callee(export)?;
    let signature = match callee {
        Callee::Defined { instance, function } => parts
            .unit(instance)
            .and_then(|unit| unit.module.function(function)),
        Callee::Host(_) => None,
    };
    check_realloc(export.name, signature.as_ref())?;
    let at = known
        .iter()
        .position(|known| *known == callee)
        .unwrap_or_else(|| {
            known.push(callee);
            known.len() - 1
        });
    Ok(Realloc(at as u32))
}

/// Names for an import of the merged module: those that wit-component gives it. A function that is lowered in two ways gets
/// a number, because an engine that links by name would take one for the other.
fn name<'a>(target: &Target<'a>, before: &[Import<'a>]) -> (Cow<'a, str>, Cow<'a, str>) {
    let (module, field): (&Cow<'a, str>, Cow<'a, str>) = match target {
        Target::Function {
            interface,
            function,
        } => (interface, function.clone()),
        Target::Drop {
            interface,
            resource,
        } => (interface, format!("[resource-drop]{resource}").into()),
    };
    let same = before
        .iter()
        .filter(|import| import.target == *target)
        .count();
    let field = if same == 0 {
        field
    } else {
        format!("{field}#{}", same + 1).into()
    };
    (module.clone(), field)
}

/// The sections of the merged module that grow module by module.
#[derive(Default)]
struct Sections {
    types: TypeSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
}

/// Writes the module.
fn encode(
    layout: &Layout<'_>,
    units: &[Unit<'_>],
    imports: &[Import<'_>],
    exports: &[(String, u32)],
) -> Result<Vec<u8>, Refusal> {
    let mut sections = Sections::default();
    let mut begin = Begin::default();
    let mut inits = Vec::new();
    for (at, unit) in units.iter().enumerate() {
        unit.inits(at, &mut inits)?;
    }
    for (at, unit) in units.iter().enumerate() {
        Mapper::new(layout, &inits, at, &sections).write(unit, &mut sections, &mut begin)?;
    }
    let start = begin.finish(layout, &mut sections);

    let mut import_section = ImportSection::new();
    for (import, host) in imports.iter().zip(&layout.hosts) {
        let ty = EntityType::Function(host.ty);
        import_section.import(&import.module, &import.field, ty);
    }
    let mut export_section = ExportSection::new();
    if layout.memories > 0 {
        export_section.export("memory", ExportKind::Memory, 0);
    }
    for (name, index) in exports {
        export_section.export(name, ExportKind::Func, *index);
    }

    let mut module = Module::new();
    module
        .section(&sections.types)
        .section(&import_section)
        .section(&sections.functions)
        .section(&sections.tables)
        .section(&sections.memories)
        .section(&sections.globals)
        .section(&export_section);
    if let Some(function_index) = start {
        module.section(&StartSection { function_index });
    }
    module.section(&sections.elements);
    if !sections.data.is_empty() {
        let count = sections.data.len();
        module.section(&DataCountSection { count });
    }
    module.section(&sections.code).section(&sections.data);
    Ok(module.finish())
}
