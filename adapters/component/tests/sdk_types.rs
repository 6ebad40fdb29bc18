//! The types that components of apps/sdk/hal carry are those of capabilities/wit, encoded. With VYOMA_WRITE_TYPES set, this
//! writes them.

use std::fs;
use std::path::Path;

use wit_component::StringEncoding;
use wit_parser::Resolve;

#[test]
fn the_types_in_the_sdk_are_those_of_the_wit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(root.join("capabilities/wit"))
        .expect("capabilities/wit");
    let world = resolve
        .select_world(&[package], Some("imports"))
        .expect("the world `imports`");
    let encoded = wit_component::metadata::encode(&resolve, world, StringEncoding::UTF8, None)
        .expect("an encoding");
    let path = root.join("apps/sdk/hal/src/sys/wasi/types.bin");
    if std::env::var_os("VYOMA_WRITE_TYPES").is_some() {
        fs::write(&path, &encoded).expect("writing the types");
    }
    assert!(
        fs::read(&path).is_ok_and(|written| written == encoded),
        "{} is not what capabilities/wit says; run this test with VYOMA_WRITE_TYPES=1",
        path.display()
    );
}
