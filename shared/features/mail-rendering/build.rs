//! Builds anew when a template is added: the folder is embedded as it is.

fn main() {
    println!("cargo::rerun-if-changed=templates");
}
