//! One function, written down instruction by instruction with its operand stack known.

use wasm_encoder::{BlockType, Instruction, MemArg, TypeSection, ValType};

use super::{FUEL, Signature, TYPES, global};
use crate::generate::Numbers;

/// Statements of a function, about.
const STATEMENTS: usize = 60;

/// Blocks in each other.
const DEPTH: usize = 6;

/// A block that is open.
struct Frame {
    /// What a branch to it takes along.
    label: Vec<ValType>,
    /// Where its operands begin.
    base: usize,
    /// What comes now can't be reached: there are any operands below those that are known.
    dead: bool,
}

/// A function that is being written.
pub(super) struct Writer<'a> {
    signatures: &'a [Signature],
    /// Number of the function that is written.
    index: usize,
    numbers: &'a mut Numbers,
    /// Takes the types of blocks.
    types: &'a mut TypeSection,
    locals: Vec<ValType>,
    code: Vec<Instruction<'static>>,
    stack: Vec<ValType>,
    frames: Vec<Frame>,
    /// Statements that may still be written.
    left: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        signatures: &'a [Signature],
        index: usize,
        numbers: &'a mut Numbers,
        types: &'a mut TypeSection,
    ) -> Self {
        let mut locals = signatures[index].params.clone();
        locals.extend(super::types(numbers, 8));
        Self {
            signatures,
            index,
            numbers,
            types,
            locals,
            code: Vec::new(),
            stack: Vec::new(),
            frames: Vec::new(),
            left: STATEMENTS,
        }
    }

    pub(super) fn finished(self) -> wasm_encoder::Function {
        let params = self.signatures[self.index].params.len();
        let mut function =
            wasm_encoder::Function::new_with_locals_types(self.locals[params..].iter().copied());
        for instruction in &self.code {
            function.instruction(instruction);
        }
        function
    }

    pub(super) fn function(&mut self) {
        let results = self.results();
        self.frames.push(Frame {
            label: results.clone(),
            base: 0,
            dead: false,
        });
        self.step();
        self.statements(&results);
        self.put(Instruction::End);
    }

    fn results(&self) -> Vec<ValType> {
        self.signatures[self.index].results.clone()
    }

    fn put(&mut self, instruction: Instruction<'static>) {
        self.code.push(instruction);
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.numbers.below(one_in) == 0
    }

    fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("the function is open")
    }

    /// Whether these can be taken, the last one first.
    fn can_pop(&mut self, types: &[ValType]) -> bool {
        let Frame { base, dead, .. } = *self.frame();
        let known = &self.stack[base..];
        let enough = dead || known.len() >= types.len();
        enough
            && types
                .iter()
                .rev()
                .zip(known.iter().rev())
                .all(|(wanted, found)| wanted == found)
    }

    fn pop(&mut self, count: usize) {
        let base = self.frame().base;
        let length = self.stack.len().saturating_sub(count).max(base);
        self.stack.truncate(length);
    }

    /// An instruction that takes and gives operands, if they are there.
    fn operate(&mut self, takes: &[ValType], gives: &[ValType], instruction: Instruction<'static>) {
        if self.can_pop(takes) {
            self.pop(takes.len());
            self.put(instruction);
            self.stack.extend(gives);
        }
    }

    /// Puts a value on the stack, from wherever there is one.
    fn value(&mut self, ty: ValType) {
        let locals: Vec<u32> = (0..self.locals.len() as u32)
            .filter(|&local| self.locals[local as usize] == ty)
            .collect();
        let number = self.numbers.next();
        let instruction = match self.numbers.below(4) {
            0 | 1 if !locals.is_empty() => {
                Instruction::LocalGet(locals[self.numbers.below(locals.len())])
            }
            2 => Instruction::GlobalGet(global(ty)),
            _ => match ty {
                ValType::I64 => Instruction::I64Const((number as i64) >> (number % 60)),
                ValType::F32 => Instruction::F32Const(((number % 2000) as f32 - 1000.0).into()),
                ValType::F64 => Instruction::F64Const(((number % 2000) as f64 / 8.0).into()),
                _ => Instruction::I32Const((number as i32) >> (number % 30)),
            },
        };
        self.put(instruction);
        self.stack.push(ty);
    }

    /// Puts all of these on the stack, unless they are there.
    fn values(&mut self, types: &[ValType]) {
        if !self.can_pop(types) || self.chance(3) {
            for &ty in types {
                self.value(ty);
            }
        }
    }

    /// Takes one step; when there is none left, the function returns.
    fn step(&mut self) {
        self.put(Instruction::GlobalGet(FUEL));
        self.put(Instruction::I32Eqz);
        self.put(Instruction::If(BlockType::Empty));
        for ty in self.results() {
            let global = global(ty);
            self.put(Instruction::GlobalGet(global));
        }
        for instruction in [
            Instruction::Return,
            Instruction::End,
            Instruction::GlobalGet(FUEL),
            Instruction::I32Const(1),
            Instruction::I32Sub,
            Instruction::GlobalSet(FUEL),
        ] {
            self.put(instruction);
        }
    }

    /// Statements up to the end of the innermost block, which is left with its results.
    fn statements(&mut self, results: &[ValType]) {
        let count = self.numbers.below(10) + 1;
        for _ in 0..count {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            self.statement();
        }
        self.finish(results);
    }

    /// Makes the operands of the innermost block its results.
    fn finish(&mut self, results: &[ValType]) {
        loop {
            let Frame { base, dead, .. } = *self.frame();
            let known = &self.stack[base..];
            if known == results || dead && results.ends_with(known) {
                break;
            }
            if !dead && results.starts_with(known) {
                let missing = results[known.len()..].to_vec();
                for ty in missing {
                    self.value(ty);
                }
                break;
            }
            self.remove();
        }
        let base = self.frame().base;
        self.stack.truncate(base);
    }

    /// Takes the topmost operand away, into something that keeps it if there is such a thing.
    fn remove(&mut self) {
        let Some(ty) = self.stack.pop() else {
            return;
        };
        let locals: Vec<u32> = (0..self.locals.len() as u32)
            .filter(|&local| self.locals[local as usize] == ty)
            .collect();
        let instruction = match self.numbers.below(4) {
            0 if !locals.is_empty() => {
                Instruction::LocalSet(locals[self.numbers.below(locals.len())])
            }
            1 => Instruction::GlobalSet(global(ty)),
            _ => Instruction::Drop,
        };
        self.put(instruction);
    }

    fn statement(&mut self) {
        let ty = TYPES[self.numbers.below(TYPES.len())];
        match self.numbers.below(24) {
            0..4 => self.value(ty),
            4..7 => self.local(),
            7..11 => self.arithmetic(),
            11 => self.memory(ty),
            12 => self.choose(ty),
            13 => {
                let base = self.frame().base;
                if self.stack.len() > base {
                    self.remove();
                } else {
                    self.operate(&[ty], &[], Instruction::Drop);
                }
            }
            14..18 => self.block(),
            18..20 => self.branch_if(),
            20 => self.leave(),
            21 => self.table(),
            _ => self.call(),
        }
    }

    /// Sets a local, also while its old value is an operand.
    fn local(&mut self) {
        if self.locals.is_empty() {
            return;
        }
        let local = self.numbers.below(self.locals.len());
        let ty = self.locals[local];
        let index = local as u32;
        if self.chance(2) {
            self.put(Instruction::LocalGet(index));
            self.stack.push(ty);
        }
        if !self.can_pop(&[ty]) || self.chance(2) {
            self.value(ty);
        }
        if self.chance(3) {
            self.operate(&[ty], &[ty], Instruction::LocalTee(index));
        } else {
            self.operate(&[ty], &[], Instruction::LocalSet(index));
        }
    }

    fn arithmetic(&mut self) {
        use Instruction as I;
        use ValType::{F32, F64, I32, I64};
        let (takes, gives, instruction): (&[ValType], ValType, I<'static>) =
            match self.numbers.below(24) {
                0 => (&[I32, I32], I32, I::I32Add),
                1 => (&[I32, I32], I32, I::I32Sub),
                2 => (&[I32, I32], I32, I::I32Rotl),
                3 => (&[I64, I64], I64, I::I64Mul),
                4 => (&[I64, I64], I64, I::I64ShrS),
                5 => (&[I64, I64], I32, I::I64LtS),
                6 => (&[F32, F32], F32, I::F32Sub),
                7 => (&[F32, F32], F32, I::F32Copysign),
                8 => (&[F64, F64], F64, I::F64Div),
                9 => (&[F64, F64], F64, I::F64Max),
                10 => (&[F64, F64], I32, I::F64Le),
                11 => (&[F32, F32], I32, I::F32Ne),
                12 => (&[I32], I64, I::I64ExtendI32S),
                13 => (&[I64], I32, I::I32WrapI64),
                14 => (&[I64], F64, I::F64ConvertI64U),
                15 => (&[F64], I64, I::I64TruncSatF64S),
                16 => (&[F32], F64, I::F64PromoteF32),
                17 => (&[F64], F32, I::F32DemoteF64),
                18 => (&[I32], F32, I::F32ReinterpretI32),
                19 => (&[F64], I64, I::I64ReinterpretF64),
                20 => (&[I32], I32, I::I32Eqz),
                21 => (&[F64], F64, I::F64Neg),
                22 => (&[F32], F32, I::F32Sqrt),
                _ => (&[I64], I64, I::I64Clz),
            };
        if !self.can_pop(takes) && !self.frame().dead {
            for &ty in takes {
                self.value(ty);
            }
        }
        self.operate(takes, &[gives], instruction);
    }

    /// Writes a value to memory, or reads one, at an address below 64 KiB.
    fn memory(&mut self, ty: ValType) {
        let at = MemArg {
            offset: 0,
            align: 0,
            memory_index: 0,
        };
        self.value(ValType::I32);
        self.put(Instruction::I32Const(0xfff8));
        self.put(Instruction::I32And);
        if self.chance(2) {
            self.value(ty);
            let store = match ty {
                ValType::I64 => Instruction::I64Store32(at),
                ValType::F32 => Instruction::F32Store(at),
                ValType::F64 => Instruction::F64Store(at),
                _ => Instruction::I32Store16(at),
            };
            self.operate(&[ValType::I32, ty], &[], store);
        } else {
            let load = match ty {
                ValType::I64 => Instruction::I64Load16S(at),
                ValType::F32 => Instruction::F32Load(at),
                ValType::F64 => Instruction::F64Load(at),
                _ => Instruction::I32Load8S(at),
            };
            self.operate(&[ValType::I32], &[ty], load);
        }
    }

    fn choose(&mut self, ty: ValType) {
        self.values(&[ty, ty, ValType::I32]);
        let select = if self.chance(2) {
            Instruction::TypedSelect(ty)
        } else {
            Instruction::Select
        };
        self.operate(&[ty, ty, ValType::I32], &[ty], select);
    }

    fn block(&mut self) {
        if self.frames.len() > DEPTH {
            return;
        }
        let base = self.frame().base;
        let kind = self.numbers.below(3);
        if kind == 2 {
            self.value(ValType::I32);
            self.pop(1);
        }
        // What it takes is what is there, up to three.
        let there = self.stack.len() - base;
        let params = self
            .stack
            .split_off(self.stack.len() - self.numbers.below(4).min(there));
        let results = super::types(self.numbers, 4);
        let ty = self.types.len();
        self.types.ty().function(params.clone(), results.clone());
        let ty = BlockType::FunctionType(ty);
        let frame = |label: &[ValType], base| Frame {
            label: label.to_vec(),
            base,
            dead: false,
        };
        let base = self.stack.len();
        match kind {
            0 => {
                self.put(Instruction::Block(ty));
                self.frames.push(frame(&results, base));
            }
            1 => {
                self.put(Instruction::Loop(ty));
                self.step();
                self.frames.push(frame(&params, base));
            }
            _ => {
                self.put(Instruction::If(ty));
                self.frames.push(frame(&results, base));
            }
        }
        self.stack.extend(&params);
        self.statements(&results);
        self.frames.pop();
        if kind == 2 && (params != results || self.chance(2)) {
            self.put(Instruction::Else);
            self.frames.push(frame(&results, base));
            self.stack.extend(&params);
            self.statements(&results);
            self.frames.pop();
        }
        self.put(Instruction::End);
        self.stack.extend(&results);
    }

    /// A label and what a branch to it takes along.
    fn target(&mut self) -> (u32, Vec<ValType>) {
        let depth = self.numbers.below(self.frames.len());
        let label = self.frames[self.frames.len() - 1 - depth].label.clone();
        (depth as u32, label)
    }

    fn branch_if(&mut self) {
        let (depth, label) = self.target();
        self.values(&label);
        self.value(ValType::I32);
        let takes: Vec<ValType> = label.iter().copied().chain([ValType::I32]).collect();
        self.operate(&takes, &label, Instruction::BrIf(depth));
    }

    /// A branch that is always taken; what follows can't be reached.
    fn leave(&mut self) {
        let (depth, label) = self.target();
        let (label, instruction) = match self.numbers.below(8) {
            0 => (Vec::new(), None),
            1 | 2 => (self.results(), Some(Instruction::Return)),
            _ => (label, Some(Instruction::Br(depth))),
        };
        // Not by itself, or hardly any code would be reached.
        if self.frames.len() == 1 && !self.chance(4) {
            return;
        }
        let Some(instruction) = instruction else {
            // Never, but no engine knows that.
            self.put(Instruction::GlobalGet(FUEL));
            self.put(Instruction::I32Const(0));
            self.put(Instruction::I32LtS);
            self.put(Instruction::If(BlockType::Empty));
            self.put(Instruction::Unreachable);
            self.put(Instruction::I32Add);
            self.put(Instruction::Drop);
            self.put(Instruction::End);
            return;
        };
        self.values(&label);
        self.put(instruction);
        self.die();
    }

    fn die(&mut self) {
        let frame = self.frame();
        frame.dead = true;
        let base = frame.base;
        self.stack.truncate(base);
    }

    /// A jump table over labels that take the same along.
    fn table(&mut self) {
        if self.frames.len() < 2 {
            return;
        }
        let (default, label) = self.target();
        let alike: Vec<u32> = (0..self.frames.len() as u32)
            .filter(|&depth| self.frames[self.frames.len() - 1 - depth as usize].label == label)
            .collect();
        let count = self.numbers.below(5);
        let targets: Vec<u32> = (0..count)
            .map(|_| alike[self.numbers.below(alike.len())])
            .collect();
        self.values(&label);
        self.value(ValType::I32);
        if self.chance(2) {
            self.put(Instruction::I32Const(3));
            self.put(Instruction::I32And);
        }
        self.put(Instruction::BrTable(targets.into(), default));
        self.die();
    }

    fn call(&mut self) {
        let callee = self.numbers.below(self.signatures.len());
        let Signature { params, results } = self.signatures[callee].clone();
        self.values(&params);
        if callee < 2 && self.chance(2) {
            // Through the table, to one of the two of that type.
            self.value(ValType::I32);
            self.put(Instruction::I32Const(1));
            self.put(Instruction::I32And);
            let takes: Vec<ValType> = params.iter().copied().chain([ValType::I32]).collect();
            self.operate(
                &takes,
                &results,
                Instruction::CallIndirect {
                    type_index: 0,
                    table_index: 0,
                },
            );
        } else {
            self.operate(&params, &results, Instruction::Call(callee as u32));
        }
    }
}
