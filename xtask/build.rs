//! Builds anew when a file of the template of a new task is added.

fn main() {
    println!("cargo::rerun-if-changed=new-task");
}
