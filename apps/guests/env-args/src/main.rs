//! Prints its arguments, its environment (sorted) and nothing else.

fn main() {
    for (index, argument) in std::env::args().enumerate() {
        println!("argument {index}: {argument:?}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("variable {name}: {value:?}");
    }
    println!("done");
}
