//! Ink colours.

/// The result of PIL's `convert("RGB")` for a pixel of cyan, magenta, yellow and black ink, 255 being full ink.
pub(super) fn rgb_of_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        let scaled = u32::from(ink) * light + 128;
        (light - (((scaled >> 8) + scaled) >> 8)) as u8
    })
}
