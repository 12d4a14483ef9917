;; A gigabyte of standard output in one call: 1024 vectors over the same megabyte.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 32)
  (func (export "_start") (local $n i32)
    (loop $l
      (i32.store (i32.mul (local.get $n) (i32.const 8)) (i32.const 65536))
      (i32.store (i32.add (i32.mul (local.get $n) (i32.const 8)) (i32.const 4)) (i32.const 1048576))
      (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1024))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 16384)))))
