//! Wasmtime behind the [`vyoma_runtime::WasmRuntime`] trait.
