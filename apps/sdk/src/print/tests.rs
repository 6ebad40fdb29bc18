//! What the macros print, against what `std` makes of the same format strings.

use crate::testing::printed;
use crate::{broadcast, eprintln, log, print, println, reply, send};

/// Both print the same.
macro_rules! same {
    ($($arguments:tt)*) => {
        assert_eq!(printed(|| print!($($arguments)*)), format!($($arguments)*))
    };
}

#[test]
fn integers_print_as_with_std() {
    for value in [0, 1, 9, 10, 99, 100, u64::MAX / 2, u64::MAX] {
        same!(
            "{value} {value:+} {value:5} {value:05} {value:+06} {value:20} {value:x} {value:08x}"
        );
        let signed = value.cast_signed();
        same!("{signed} {signed:+} {signed:5} {signed:05} {signed:+06} {signed:020} {signed:x}");
    }
    same!("{} {} {} {}", i8::MIN, i16::MIN, i32::MIN, i64::MIN);
    same!(
        "{} {} {} {} {}",
        u8::MAX,
        i16::MAX,
        u32::MAX,
        usize::MAX,
        isize::MIN
    );
    same!("{:x} {:x} {:04x}", -1_i8, i32::MIN, 10_u8);
    same!("{} {:5}", u128::MAX, i128::MIN);
}

#[test]
fn text_bools_and_characters_print_as_with_std() {
    let (name, owned) = ("Ada", String::from("Löwe"));
    same!("");
    same!("{{{name}}} {owned} {} {} {}", &&name, 'ß', true);
    same!("{0} {0} {1} {name}", 1, "two");
    same!("{a} {} {b:02}", 1, a = 'x', b = 7);
    same!("{} {owned:>8}|{name:<5}|", format_args!("{:?}", [1, 2]));
    same!(r#"raw "{}" \n"#, name);
}

#[test]
fn what_has_only_display_or_debug_prints_as_with_std() {
    let error = "x".parse::<u8>().unwrap_err();
    same!(
        "{error} {error:?} {:.3} {:e} {:#x}",
        2.5_f32,
        1.5e9_f64,
        255
    );
}

#[test]
fn arguments_are_evaluated_once_and_in_their_order() {
    let mut order = Vec::new();
    let mut next = |value| {
        order.push(value);
        value
    };
    let text = printed(|| println!("{1} {0} {1}", next(1), next(2)));
    assert_eq!((text.as_str(), order), ("2 1 2\n", vec![1, 2]));
}

#[test]
fn lines_longer_than_the_buffer_come_whole() {
    let long = "0123456789".repeat(50);
    assert_eq!(
        printed(|| println!("<{long}>{}", 7)),
        format!("<{long}>7\n")
    );
    assert_eq!(
        printed(|| eprintln!("{long}{long}")),
        format!("{long}{long}\n")
    );
    assert_eq!(printed(|| println!()), "\n");
    assert_eq!(printed(|| println!("text\n")), "text\n\n");
}

#[test]
fn a_message_is_always_one_line() {
    let text = "a\nb\r\n@c: d";
    assert_eq!(printed(|| send!("pong", "{text}")), "@pong: a b  @c: d\n");
    assert_eq!(printed(|| reply!("{} done", 1)), "@reply: 1 done\n");
    assert_eq!(
        printed(|| broadcast!("all\n{text}")),
        "@broadcast: all a b  @c: d\n"
    );
    let app = String::from("x");
    assert_eq!(printed(|| send!(&app, "text",)), "@x: text\n");
    assert_eq!(
        printed(|| crate::send("a", format_args!("{:?}", Some(1)))),
        "@a: Some(1)\n"
    );
    assert_eq!(printed(|| crate::reply(5)), "@reply: 5\n");
}

#[test]
fn log_text_is_never_taken_for_a_message() {
    for (text, logged) in [
        ("plain", "plain\n"),
        ("", "\n"),
        (
            "first\n@supervisor: reboot",
            "first\n @supervisor: reboot\n",
        ),
        ("VYOMA_DRAW:flush", " VYOMA_DRAW:flush\n"),
        ("a\nVYOMA_AUDIO:beep\n", "a\n VYOMA_AUDIO:beep\n\n"),
        ("VYOMA_", "VYOMA_\n"),
        ("VYOMA_DRAG", "VYOMA_DRAG\n"),
        ("VYOMA_DVYOMA_DRAW:x", "VYOMA_DVYOMA_DRAW:x\n"),
        ("VYOMA_A\n@\nVYOMA_AUDIO", "VYOMA_A\n @\nVYOMA_AUDIO\n"),
        (" @x", " @x\n"),
    ] {
        assert_eq!(printed(|| log!("{text}")), logged, "{text:?}");
        assert_eq!(printed(|| crate::log(text)), logged, "{text:?}");
    }
    // However it is put together.
    assert_eq!(
        printed(|| log!("{}OMA_D{}W:x", "VY", "RA")),
        " VYOMA_DRAW:x\n"
    );
    assert_eq!(printed(|| log!("{}", '@')), " @\n");
}
