;; A million log lines with a control sequence in each.
(module
  (import "aileron_host" "log" (func $log (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "warn")
  (data (i32.const 8) "line\1b[31m of\0atext")
  (func (export "_start") (local $n i32)
    (loop $l
      (call $log (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 17))
      (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000))))))
