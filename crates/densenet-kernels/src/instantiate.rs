//! Explicit instantiation: generic operations that are compiled in this crate.
//!
//! A generic function is compiled where it is used: again in every crate, test and benchmark. These are large, since
//! each is compiled for every instruction set, so their bodies are methods of a trait that is implemented here for
//! `f32` and `f64`.

/// Defines functions over a number type `T` whose bodies are compiled here. Each calls the method of the same name in
/// the module's trait `Instance`, which is implemented for `f32` and `f64`.
macro_rules! instantiate {
    ($(
        $(#[$about:meta])*
        $visible:vis fn $name:ident<T>($($argument:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block
    )*) => {
        #[doc(hidden)]
        pub trait Instance<T: $crate::scalar::Scalar> {
            $(fn $name($($argument: $kind),*) $(-> $out)?;)*
        }

        $crate::instantiate::instantiate!(@of f32 inline(never): $($name($($argument: $kind),*) ($(-> $out)?) $body)*);
        // In a release build `f64` is compiled by the crates that use it, which are few.
        $crate::instantiate::instantiate!(
            @of f64 cfg_attr(not(debug_assertions), inline): $($name($($argument: $kind),*) ($(-> $out)?) $body)*
        );

        $(
            $(#[$about])*
            #[inline]
            $visible fn $name<T: $crate::scalar::Scalar + Instance<T>>($($argument: $kind),*) $(-> $out)? {
                <T as Instance<T>>::$name($($argument),*)
            }
        )*
    };
    (@of $number:ident $inlining:meta: $($name:ident($($argument:ident: $kind:ty),*) ($($out:tt)*) $body:block)*) => {
        const _: () = {
            type T = $number;
            impl Instance<T> for T {
                $(
                    #[$inlining]
                    fn $name($($argument: $kind),*) $($out)* $body
                )*
            }
        };
    };
}

pub(crate) use instantiate;
