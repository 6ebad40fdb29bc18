//! Compiles WAMR's runtime (interpreter and loader of ahead-of-time code, no compiler) into a static library.

mod source;

fn main() {
    let root = source::prepare();
    let mut build = source::compiler(&root);
    build.files(source::runtime(&root));
    build.file(root.join(format!(
        "core/iwasm/aot/arch/aot_reloc_{}.c",
        source::target_arch()
    )));
    build.compile("vyoma_wamr");
    // musl has its mathematics in libc.
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("musl") {
        println!("cargo:rustc-link-lib=m");
    }
}
