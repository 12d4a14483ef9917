;; An endless loop of memory.fill and memory.copy over sixty megabytes.
(module
  (memory (export "memory") 1000)
  (func (export "_start")
    (loop $l
      (memory.fill (i32.const 0) (i32.const 7) (i32.const 65000000))
      (memory.copy (i32.const 1) (i32.const 0) (i32.const 65000000))
      (br $l))))
