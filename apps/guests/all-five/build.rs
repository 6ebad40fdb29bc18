//! How the component is linked.

fn main() {
    vyoma_build::small_app(1024);
}
