;; A gigabyte of standard error, 1024 times 1024 vectors of 1 KiB, then "the last words" and exit 3.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 60000) "the last words")
  (func (export "_start") (local $n i32)
    (loop $l
      (i32.store (i32.mul (local.get $n) (i32.const 8)) (i32.const 20000))
      (i32.store (i32.add (i32.mul (local.get $n) (i32.const 8)) (i32.const 4)) (i32.const 1024))
      (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1024))))
    (memory.fill (i32.const 20000) (i32.const 120) (i32.const 1024))
    (local.set $n (i32.const 0))
    (loop $m
      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1024) (i32.const 16384)))
      (br_if $m (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1024))))
    (i32.store (i32.const 0) (i32.const 60000))
    (i32.store (i32.const 4) (i32.const 14))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16384)))
    (call $exit (i32.const 3))))
