//! `interop produce` carries out requests from standard input; with `--tcp-socket` it is a runner.

mod producing;
mod running;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("produce") {
        return producing::main();
    }
    running::main()
}
