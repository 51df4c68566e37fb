//! x
/// x
pub fn document(_: &crate::Deployment, _: &str, _: bool) -> String {
    String::new()
}
