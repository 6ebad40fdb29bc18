fn main() {
    vyoma_build::small_app(2048);
}
