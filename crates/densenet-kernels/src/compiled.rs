//! Operations that are compiled in this crate.
//!
//! A generic function is compiled where it is used: once more in every crate, test and benchmark. These are large, since each
//! is made for all instruction sets, so they are methods of elements, which are compiled here for `f32` and `f64`.

/// Makes functions over any element `T` of bodies that are compiled here: each calls the method of that name of the module's
/// trait `Compiled`.
macro_rules! compiled {
    ($(
        $(#[$about:meta])*
        $visible:vis fn $name:ident<T>($($argument:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block
    )*) => {
        #[doc(hidden)]
        pub trait Compiled<T> {
            $(fn $name($($argument: $kind),*) $(-> $out)?;)*
        }

        $crate::compiled::compiled!(@of f32: $($name($($argument: $kind),*) ($(-> $out)?) $body)*);
        $crate::compiled::compiled!(@of f64: $($name($($argument: $kind),*) ($(-> $out)?) $body)*);

        $(
            $(#[$about])*
            #[inline]
            $visible fn $name<T: $crate::isa::Dispatch>($($argument: $kind),*) $(-> $out)? {
                <T as Compiled<T>>::$name($($argument),*)
            }
        )*
    };
    (@of $element:ident: $($name:ident($($argument:ident: $kind:ty),*) ($($out:tt)*) $body:block)*) => {
        const _: () = {
            type T = $element;
            impl Compiled<T> for T {
                $(fn $name($($argument: $kind),*) $($out)* $body)*
            }
        };
    };
}

pub(crate) use compiled;

use crate::{conv, head, norm, stem, winograd};

/// Elements that all operations are compiled for.
pub trait Operations:
    Sized
    + conv::data_gradient::Compiled<Self>
    + conv::forward::Compiled<Self>
    + conv::point_gradients::Compiled<Self>
    + conv::weight_gradient::Compiled<Self>
    + head::Compiled<Self>
    + norm::Compiled<Self>
    + stem::Compiled<Self>
    + winograd::data_gradient::Compiled<Self>
    + winograd::filters::Compiled<Self>
    + winograd::forward::Compiled<Self>
    + winograd::weight_gradient::Compiled<Self>
{
}

impl Operations for f32 {}
impl Operations for f64 {}
