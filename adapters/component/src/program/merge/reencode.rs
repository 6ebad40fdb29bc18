//! One module's sections, written into those of the merged module with their indices changed.

use alloc::string::ToString;
use alloc::vec::Vec;

use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{ConstExpr, Encode};
use wasmparser::{
    DataKind, DataSectionReader, ElementKind, ElementSectionReader, FunctionBody,
    FunctionSectionReader, GlobalSectionReader, MemorySectionReader, Operator, Parser, Payload,
    TableSectionReader, TypeSectionReader,
};

use super::super::Refusal;
use super::Sections;
use super::layout::{Indices, Layout};
use super::start::Begin;
use crate::reader::module::Module;

/// Globals whose value is another global's value and so on: more than any toolchain makes.
const MAX_CHAIN: u32 = 32;

/// A module's sections as they are.
#[derive(Default)]
pub(super) struct Unit<'a> {
    types: Option<TypeSectionReader<'a>>,
    functions: Option<FunctionSectionReader<'a>>,
    tables: Option<TableSectionReader<'a>>,
    memories: Option<MemorySectionReader<'a>>,
    globals: Option<GlobalSectionReader<'a>>,
    elements: Option<ElementSectionReader<'a>>,
    data: Option<DataSectionReader<'a>>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    start: Option<u32>,
}

/// What a global of the merged module begins as: the number of the module that says so, and its expression there.
pub(super) type Init<'a> = (usize, wasmparser::ConstExpr<'a>);

impl<'a> Unit<'a> {
    pub(super) fn read(module: &Module<'a>) -> Result<Self, Refusal> {
        let mut unit = Self {
            start: module.start,
            ..Self::default()
        };
        let parser = Parser::new(module.bytes.offset() as u64);
        for payload in parser.parse_all(module.bytes.rest()) {
            match payload.map_err(|error| malformed(&error))? {
                Payload::TypeSection(section) => unit.types = Some(section),
                Payload::FunctionSection(section) => unit.functions = Some(section),
                Payload::TableSection(section) => unit.tables = Some(section),
                Payload::MemorySection(section) => unit.memories = Some(section),
                Payload::GlobalSection(section) => unit.globals = Some(section),
                Payload::ElementSection(section) => unit.elements = Some(section),
                Payload::DataSection(section) => unit.data = Some(section),
                Payload::CodeSectionEntry(body) => unit.bodies.push(body),
                _ => {}
            }
        }
        if unit.bodies.len() != module.defined_functions() {
            return Err(module
                .bytes
                .malformed("a core module with a body for each function"));
        }
        Ok(unit)
    }

    /// Adds what its own globals begin as to those of the modules before it.
    pub(super) fn inits(&self, at: usize, inits: &mut Vec<Init<'a>>) -> Result<(), Refusal> {
        for global in self.globals.iter().flat_map(Clone::clone) {
            inits.push((at, global.map_err(|error| malformed(&error))?.init_expr));
        }
        Ok(())
    }

    /// The functions that its element segments hold.
    pub(super) fn in_tables(&self) -> Result<Vec<u32>, Refusal> {
        let mut functions = Vec::new();
        for element in self.elements.iter().flat_map(Clone::clone) {
            match element.map_err(|error| malformed(&error))?.items {
                wasmparser::ElementItems::Functions(items) => {
                    for item in items {
                        functions.push(item.map_err(|error| malformed(&error))?);
                    }
                }
                wasmparser::ElementItems::Expressions(_, items) => {
                    for item in items {
                        let item = item.map_err(|error| malformed(&error))?;
                        for operator in item.get_operators_reader() {
                            if let Operator::RefFunc { function_index } =
                                operator.map_err(|error| malformed(&error))?
                            {
                                functions.push(function_index);
                            }
                        }
                    }
                }
            }
        }
        Ok(functions)
    }
}

/// Changes the indices of one module.
pub(super) struct Mapper<'m, 'a> {
    layout: &'m Layout<'a>,
    inits: &'m [Init<'a>],
    at: usize,
    /// Where its data and element segments begin in the merged module.
    first_data: u32,
    first_element: u32,
}

impl<'m, 'a> Mapper<'m, 'a> {
    pub(super) fn new(
        layout: &'m Layout<'a>,
        inits: &'m [Init<'a>],
        at: usize,
        sections: &Sections,
    ) -> Self {
        Self {
            layout,
            inits,
            at,
            first_data: sections.data.len(),
            first_element: sections.elements.len(),
        }
    }

    /// Writes everything but the segments' effects into `sections`. Those of a `late` module are left to `begin`.
    pub(super) fn write(
        &mut self,
        unit: &Unit<'a>,
        sections: &mut Sections,
        begin: &mut Begin,
    ) -> Result<(), Refusal> {
        let late = begin.has_calls();
        self.items(unit, sections, begin, late)
            .map_err(|error| match error {
                Error::UserError(refusal) => refusal,
                Error::ParseError(error) => malformed(&error),
                error => Refusal::Shape(error.to_string()),
            })
    }

    fn items(
        &mut self,
        unit: &Unit<'a>,
        sections: &mut Sections,
        begin: &mut Begin,
        late: bool,
    ) -> Result<(), Error<Refusal>> {
        if let Some(section) = unit.types.clone() {
            self.parse_type_section(&mut sections.types, section)?;
        }
        if let Some(section) = unit.functions.clone() {
            self.parse_function_section(&mut sections.functions, section)?;
        }
        if let Some(section) = unit.tables.clone() {
            self.parse_table_section(&mut sections.tables, section)?;
        }
        if let Some(section) = unit.memories.clone() {
            self.parse_memory_section(&mut sections.memories, section)?;
        }
        if let Some(section) = unit.globals.clone() {
            self.parse_global_section(&mut sections.globals, section)?;
        }
        for element in unit.elements.iter().flat_map(Clone::clone) {
            let element = element?;
            if let ElementKind::Active {
                table_index,
                offset_expr,
            } = &element.kind
                && late
            {
                let count = match &element.items {
                    wasmparser::ElementItems::Functions(items) => items.count(),
                    wasmparser::ElementItems::Expressions(_, items) => items.count(),
                };
                let table = self.table_index(table_index.unwrap_or(0))?;
                let offset = self.constant(self.at, offset_expr, 0)?;
                begin.fill_table(&offset, count, sections.elements.len(), table);
                let items = self.element_items(element.items)?;
                sections.elements.passive(items);
            } else {
                self.parse_element(&mut sections.elements, element)?;
            }
        }
        for data in unit.data.iter().flat_map(Clone::clone) {
            let data = data?;
            if let DataKind::Active {
                memory_index,
                offset_expr,
            } = &data.kind
                && late
            {
                let memory = self.memory_index(*memory_index)?;
                let offset = self.constant(self.at, offset_expr, 0)?;
                begin.fill_memory(&offset, data.data.len() as u32, sections.data.len(), memory);
                sections.data.passive(data.data.iter().copied());
            } else {
                self.parse_data(&mut sections.data, data)?;
            }
        }
        for body in &unit.bodies {
            self.parse_function_body(&mut sections.code, body.clone())?;
        }
        if let Some(start) = unit.start {
            begin.call(self.function_index(start)?);
        }
        Ok(())
    }

    fn indices(&self) -> &'m Indices {
        &self.layout.units[self.at]
    }

    /// The one operator of a constant expression of module `at`, encoded. A global has become one of the same module,
    /// which a constant expression may not name, so its value stands in its place.
    fn constant(
        &mut self,
        at: usize,
        expression: &wasmparser::ConstExpr<'_>,
        depth: u32,
    ) -> Result<Vec<u8>, Error<Refusal>> {
        let mut operators = expression.get_operators_reader();
        let operator = operators.read()?;
        if !operators.is_end_then_eof() {
            return Err(Error::InvalidConstExpr);
        }
        let instruction = match operator {
            Operator::GlobalGet { global_index } => {
                let (at, init) = self
                    .layout
                    .units
                    .get(at)
                    .and_then(|unit| unit.globals.get(global_index as usize))
                    .and_then(|global| self.inits.get(*global as usize))
                    .filter(|_| depth < MAX_CHAIN)
                    .cloned()
                    .ok_or(Error::InvalidConstExpr)?;
                return self.constant(at, &init, depth + 1);
            }
            Operator::I32Const { .. }
            | Operator::I64Const { .. }
            | Operator::F32Const { .. }
            | Operator::F64Const { .. }
            | Operator::RefNull { .. }
            | Operator::RefFunc { .. } => {
                let around = core::mem::replace(&mut self.at, at);
                let instruction = self.instruction(operator);
                self.at = around;
                instruction?
            }
            _ => return Err(Error::InvalidConstExpr),
        };
        let mut bytes = Vec::new();
        instruction.encode(&mut bytes);
        Ok(bytes)
    }
}

impl Reencode for Mapper<'_, '_> {
    type Error = Refusal;

    fn data_index(&mut self, data: u32) -> Result<u32, Error<Refusal>> {
        data.checked_add(self.first_data).ok_or_else(outside)
    }

    fn element_index(&mut self, element: u32) -> Result<u32, Error<Refusal>> {
        element.checked_add(self.first_element).ok_or_else(outside)
    }

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Refusal>> {
        mapped(&self.indices().functions, function)
    }

    fn global_index(&mut self, global: u32) -> Result<u32, Error<Refusal>> {
        mapped(&self.indices().globals, global)
    }

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error<Refusal>> {
        mapped(&self.indices().memories, memory)
    }

    fn table_index(&mut self, table: u32) -> Result<u32, Error<Refusal>> {
        mapped(&self.indices().tables, table)
    }

    fn type_index(&mut self, ty: u32) -> Result<u32, Error<Refusal>> {
        let indices = self.indices();
        if ty < indices.type_count {
            Ok(indices.types + ty)
        } else {
            Err(outside())
        }
    }

    fn const_expr(
        &mut self,
        expression: wasmparser::ConstExpr<'_>,
    ) -> Result<ConstExpr, Error<Refusal>> {
        self.constant(self.at, &expression, 0).map(ConstExpr::raw)
    }
}

fn mapped(indices: &[u32], index: u32) -> Result<u32, Error<Refusal>> {
    indices.get(index as usize).copied().ok_or_else(outside)
}

fn outside() -> Error<Refusal> {
    Error::UserError(Refusal::Shape(
        "malformed: a core module names an item that it does not have".to_string(),
    ))
}

pub(super) fn malformed(error: &wasmparser::Error) -> Refusal {
    Refusal::Malformed {
        offset: error.offset(),
        expected: "a core module of WebAssembly 2.0",
    }
}
