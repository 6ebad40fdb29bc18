//! Prints the bits of NaNs from operations whose results WebAssembly leaves open, so that engines and processors
//! can be compared.

use std::hint::black_box;

#[expect(clippy::eq_op, reason = "0 / 0 is one of the operations to look at")]
fn main() {
    let zero = black_box(0.0_f64);
    let infinity = black_box(f64::INFINITY);
    // Not the canonical NaN: sign, payload, and once without the quiet bit.
    let payload = f64::from_bits(black_box(0xfff8_dead_beef_0001));
    let signalling = f64::from_bits(black_box(0x7ff0_0000_0000_0001));
    show("0 / 0", zero / zero);
    show("-(0 / 0)", -(zero / zero));
    show("inf - inf", infinity - infinity);
    show("0 * inf", zero * infinity);
    show("sqrt(-1)", black_box(-1.0_f64).sqrt());
    show("payload + 1", payload + black_box(1.0));
    show("1 + payload", black_box(1.0) + payload);
    show("payload * signalling", payload * signalling);
    show("signalling / payload", signalling / payload);
    show("floor(signalling)", signalling.floor());
    show("trunc(payload)", payload.trunc());
    show("copysign(payload, 1)", payload.copysign(black_box(1.0)));
    show("abs(payload)", payload.abs());

    let zero = black_box(0.0_f32);
    let payload = f32::from_bits(black_box(0xffc1_2345));
    let signalling = f32::from_bits(black_box(0x7f80_0001));
    show32("0 / 0 (f32)", zero / zero);
    show32("payload + 1 (f32)", payload + black_box(1.0));
    show32("sqrt(-1) (f32)", black_box(-1.0_f32).sqrt());
    show32("signalling * 1 (f32)", signalling * black_box(1.0));
    show("widened", f64::from(signalling));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the demotion is what is looked at"
    )]
    let narrowed = f64::from_bits(black_box(0xfff8_dead_beef_0001)) as f32;
    show32("narrowed", narrowed);
    println!("done");
}

fn show(what: &str, value: f64) {
    println!("{what}: {:016x}", black_box(value).to_bits());
}

fn show32(what: &str, value: f32) {
    println!("{what}: {:08x}", black_box(value).to_bits());
}
