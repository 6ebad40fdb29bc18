//! From a number to a component, always the same.

use arbitrary::Unstructured;
use vyoma_runtime::component;
use vyoma_runtime::conformance::plain;
use wasm_smith::{Config, InstructionKind, InstructionKinds, Module};

use crate::{control, wrap};

/// Bytes that wasm-smith draws from; more make larger modules.
const SOURCE: usize = 6000;

/// Steps (loop iterations and calls) that one call of a function may take. Small enough that no engine's stack is exhausted
/// by calls alone: all hold 2000 (the conformance suite).
const FUEL: u32 = 500;

/// Host functions that a module may import: what they do depends on nothing but the module.
const IMPORTS: &str = "$environment.get-arguments $environment.get-environment $environment.initial-cwd
    $stdin.get-stdin $stdout.get-stdout $input-stream.read $input-stream.blocking-read $input-stream.skip
    $input-stream.subscribe $input-stream.drop $output-stream.check-write $output-stream.write
    $output-stream.blocking-write-and-flush $output-stream.write-zeroes $output-stream.splice $output-stream.subscribe
    $output-stream.drop $pollable.ready $pollable.drop $poll.poll $terminal-stdin.get-terminal-stdin
    $tcp-create-socket.create-tcp-socket $instance-network.instance-network $network.drop $preopens.get-directories";

/// Numbers in a row from a number (xorshift64*, after the state is spread by splitmix64).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The component of this number; none when wasm-smith came to something that is not admitted. Each third number is about
/// control flow ([`control`]).
pub fn component(seed: u64) -> Result<Option<Vec<u8>>, String> {
    let mut numbers = Numbers::new(seed);
    if seed % 3 == 2 {
        let module = control::module(&mut numbers);
        let wrapped = wrap::wrap(&module, control::FUEL, FUEL, &mut numbers)?;
        let bytes = plain::component(&wrapped)?;
        component::check(&bytes).map_err(|error| format!("not admitted: {error}"))?;
        return Ok(Some(bytes));
    }
    let source: Vec<u8> = (0..SOURCE).map(|_| numbers.next() as u8).collect();
    let config = config(seed)?;
    // It fails when what it drew does not fit its own bounds.
    let Ok(mut module) = Module::new(config, &mut Unstructured::new(&source)) else {
        return Ok(None);
    };
    let fuel = module
        .ensure_termination(FUEL)
        .map_err(|error| format!("wasm-smith: {error}"))?;
    let wrapped = wrap::wrap(&module.to_bytes(), fuel, FUEL, &mut numbers)?;
    let bytes = plain::component(&wrapped)?;
    // References of the host come with reference types in wasm-smith; they are refused by name.
    Ok(component::check(&bytes).is_ok().then_some(bytes))
}

fn config(seed: u64) -> Result<Config, String> {
    // Half of the modules avoid traps, so that they get far; a quarter call no host, so that they compute more.
    let imports = seed % 4 != 3;
    let names = if imports { IMPORTS } else { "" };
    let available = wat::parse_str(format!("(module {})", plain::expand(names)))
        .map_err(|error| error.to_string())?;
    Ok(Config {
        available_imports: Some(available),
        // wasm-smith takes each that is available or not, as a coin falls.
        max_imports: usize::from(imports) * 40,
        disallow_traps: seed.is_multiple_of(2),
        allowed_instructions: InstructionKinds::new(&[
            InstructionKind::NumericInt,
            InstructionKind::Numeric,
            InstructionKind::Reference,
            InstructionKind::Parametric,
            InstructionKind::Variable,
            InstructionKind::Table,
            InstructionKind::MemoryInt,
            InstructionKind::Memory,
            InstructionKind::Control,
        ]),
        allow_start_export: seed % 16 == 1,
        min_funcs: 4,
        // Imports count.
        max_funcs: 40,
        min_types: 4,
        max_exports: 0,
        max_instructions: 120,
        min_memories: 1,
        max_memories: 1,
        max_memory32_bytes: 4 << 16,
        memory_max_size_required: true,
        max_tables: 2,
        max_table_elements: 20,
        table_max_size_required: true,
        max_globals: 6,
        max_types: 60,
        max_data_segments: 6,
        max_element_segments: 6,
        max_nesting_depth: 8,
        reference_types_enabled: seed.is_multiple_of(3),
        bulk_memory_enabled: true,
        multi_value_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        extended_const_enabled: false,
        wide_arithmetic_enabled: false,
        ..Config::default()
    })
}
