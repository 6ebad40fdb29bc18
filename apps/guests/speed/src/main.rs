//! Times one kind of work on the guest's own monotonic clock: `speed WORK ROUNDS` does it that often and says on stderr how
//! many nanoseconds that took, and a checksum that is the same wherever it runs. `cargo xtask bench` runs it on each engine
//! and compiles the same file for the machine itself; it deliberately uses nothing but the standard library.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds: u64 = args.get(2).and_then(|text| text.parse().ok()).unwrap_or(1);
    let work = args.get(1).map_or("", String::as_str);
    let begun = Instant::now();
    let checksum = match work {
        "coremark-like" => repeat(rounds, lists_matrices_and_states),
        "fib" => repeat(rounds, |round| {
            u64::from(fib(black_box(22 + (round & 1) as u32)))
        }),
        "sha256" => repeat(rounds, |round| hash_of(round, 16 << 10)),
        "json" => repeat(rounds, documents),
        "write-1" => repeat(rounds, |_| write_one()),
        "clock" => {
            let mut last = begun;
            for _ in 0..rounds {
                last = Instant::now().max(last);
            }
            u64::from(last >= begun)
        }
        _ => {
            eprintln!("speed: unknown work {work:?}");
            std::process::exit(2);
        }
    };
    let took = begun.elapsed().as_nanos();
    eprintln!("{took} {checksum:016x}");
}

fn repeat(rounds: u64, work: impl Fn(u64) -> u64) -> u64 {
    (0..rounds).fold(0, |sum, round| {
        sum.rotate_left(5) ^ black_box(work(black_box(round)))
    })
}

fn write_one() -> u64 {
    let mut out = std::io::stdout().lock();
    u64::from(out.write_all(b".").and_then(|()| out.flush()).is_ok())
}

fn fib(n: u32) -> u32 {
    if n < 2 {
        n
    } else {
        fib(n - 1).wrapping_add(fib(n - 2))
    }
}

fn next(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state >> 8
}

/// What CoreMark mixes: a linked list that is searched and sorted, small matrices, and a state machine over text.
fn lists_matrices_and_states(round: u64) -> u64 {
    let mut seed = round as u32 ^ 0x3415;
    let list = linked_list(&mut seed);
    let matrix = matrices(&mut seed);
    let states = numbers_in_text(&mut seed);
    u64::from(list) << 32 ^ u64::from(matrix) << 11 ^ u64::from(states)
}

fn linked_list(seed: &mut u32) -> u32 {
    const LENGTH: usize = 256;
    let mut after = [0_usize; LENGTH];
    let mut value = [0_u32; LENGTH];
    for index in 0..LENGTH {
        after[index] = (index * 167 + 1) % LENGTH;
        value[index] = next(seed);
    }
    let mut sum = 0_u32;
    for wanted in 0..32 {
        let mut at = wanted;
        for _ in 0..LENGTH {
            if value[at] & 31 == wanted as u32 {
                sum = sum.wrapping_add(value[at]);
                value.swap(at, after[at]);
            }
            at = after[at];
        }
    }
    value.sort_unstable();
    value
        .iter()
        .fold(sum, |sum, value| sum.rotate_left(3) ^ value)
}

fn matrices(seed: &mut u32) -> u32 {
    const SIDE: usize = 24;
    let (mut a, mut b) = ([[0_u32; SIDE]; SIDE], [[0_u32; SIDE]; SIDE]);
    for cell in a.iter_mut().chain(&mut b).flatten() {
        *cell = next(seed) & 0xffff;
    }
    let mut sum = 0_u32;
    for row in &a {
        for column in 0..SIDE {
            let dot = row.iter().zip(&b).fold(0_u32, |dot, (x, y)| {
                dot.wrapping_add(x.wrapping_mul(y[column]))
            });
            sum = sum.rotate_left(1) ^ dot;
        }
    }
    sum
}

fn numbers_in_text(seed: &mut u32) -> u32 {
    const ALPHABET: &[u8; 16] = b"0123456789+-.e, ";
    let mut ends = [0_u32; 5];
    let mut state = 0_usize;
    for _ in 0..2048 {
        let byte = ALPHABET[(next(seed) & 15) as usize];
        state = match (state, byte) {
            (_, b',' | b' ') => {
                ends[state] += 1;
                0
            }
            (0, b'+' | b'-' | b'0'..=b'9') | (1, b'0'..=b'9') => 1,
            (0 | 1, b'.') | (2, b'0'..=b'9') => 2,
            (1 | 2, b'e') | (3, b'+' | b'-' | b'0'..=b'9') => 3,
            _ => 4,
        };
    }
    ends.iter().fold(0, |sum, end| sum * 31 + end)
}

fn hash_of(round: u64, bytes: usize) -> u64 {
    let mut seed = round as u32;
    let data: Vec<u8> = (0..bytes).map(|_| next(&mut seed) as u8).collect();
    let digest = sha256(&data);
    u64::from(digest[0]) << 32 | u64::from(digest[7])
}

const ROOTS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// SHA-256 (FIPS 180-4).
fn sha256(data: &[u8]) -> [u32; 8] {
    let mut hash = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(data.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        compress(&mut hash, block);
    }
    hash
}

#[expect(clippy::many_single_char_names, reason = "the standard's names")]
fn compress(hash: &mut [u32; 8], block: &[u8]) {
    let mut w = [0_u32; 64];
    for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    for t in 16..64 {
        let s0 = w[t - 15].rotate_right(7) ^ w[t - 15].rotate_right(18) ^ (w[t - 15] >> 3);
        let s1 = w[t - 2].rotate_right(17) ^ w[t - 2].rotate_right(19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16]
            .wrapping_add(s0)
            .wrapping_add(w[t - 7])
            .wrapping_add(s1);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *hash;
    for t in 0..64 {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let one = h
            .wrapping_add(s1)
            .wrapping_add(choice)
            .wrapping_add(ROOTS[t])
            .wrapping_add(w[t]);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let two = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
    }
    for (old, new) in hash.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *old = old.wrapping_add(new);
    }
}

/// As much of JSON as the document has.
enum Json {
    Number(i64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Writes a document, reads it, and writes what was read.
fn documents(round: u64) -> u64 {
    let mut seed = round as u32;
    let rows = (0..40)
        .map(|row| {
            Json::Object(vec![
                ("id".into(), Json::Number(row)),
                (
                    "name".into(),
                    Json::Text(format!("sensor \"{}\"", next(&mut seed))),
                ),
                (
                    "values".into(),
                    Json::List(
                        (0..8)
                            .map(|_| Json::Number(i64::from(next(&mut seed)) - 1000))
                            .collect(),
                    ),
                ),
            ])
        })
        .collect();
    let mut text = Vec::new();
    show(&Json::List(rows), &mut text);
    let mut at = 0;
    let Some(read) = parse(&text, &mut at) else {
        return 0;
    };
    let mut again = Vec::new();
    show(&read, &mut again);
    again.iter().fold(u64::from(again == text), |sum, &byte| {
        sum.wrapping_mul(31) + u64::from(byte)
    })
}

fn show(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Json::Text(text) => quote(text, out),
        Json::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                show(item, out);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                quote(name, out);
                out.push(b':');
                show(value, out);
            }
            out.push(b'}');
        }
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn parse(text: &[u8], at: &mut usize) -> Option<Json> {
    match *text.get(*at)? {
        b'"' => parse_text(text, at).map(Json::Text),
        b'[' => {
            let mut items = Vec::new();
            *at += 1;
            while text.get(*at)? != &b']' {
                items.push(parse(text, at)?);
                *at += usize::from(text.get(*at)? == &b',');
            }
            *at += 1;
            Some(Json::List(items))
        }
        b'{' => {
            let mut members = Vec::new();
            *at += 1;
            while text.get(*at)? != &b'}' {
                let name = parse_text(text, at)?;
                *at += 1;
                members.push((name, parse(text, at)?));
                *at += usize::from(text.get(*at)? == &b',');
            }
            *at += 1;
            Some(Json::Object(members))
        }
        _ => {
            let begin = *at;
            while matches!(text.get(*at), Some(b'-' | b'0'..=b'9')) {
                *at += 1;
            }
            std::str::from_utf8(&text[begin..*at])
                .ok()?
                .parse()
                .ok()
                .map(Json::Number)
        }
    }
}

fn parse_text(text: &[u8], at: &mut usize) -> Option<String> {
    let mut out = Vec::new();
    *at += 1;
    loop {
        match *text.get(*at)? {
            b'"' => break,
            b'\\' => {
                *at += 1;
                out.push(*text.get(*at)?);
            }
            byte => out.push(byte),
        }
        *at += 1;
    }
    *at += 1;
    String::from_utf8(out).ok()
}
