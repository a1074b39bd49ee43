!> Restart files: the whole state as global arrays, the same bytes on any number of processes.
!!
!! A binary stream in the byte order of the machine: the header below, then u, v, eta (real64, x fastest). Written
!! under a temporary name and renamed when complete; the one before stays, as PATH.old. Checked on reading.
module gyre_restart
  use, intrinsic :: iso_fortran_env, only: int32, int64
  use, intrinsic :: iso_c_binding, only: c_char, c_int, c_null_char
  use mpi_f08
  use gyre_grid, only: dp, tile, tile_gather, tile_scatter
  use gyre_config, only: config
  use gyre_physics, only: state
  implicit none
  private
  public :: restart_write, restart_read, restart_find

  character(len=8), parameter :: magic = 'GYREST02'  !< the last two digits: the version of the format
  integer(int64), parameter :: order_mark = 72623859790382856_int64  !< bytes 1 2 3 4 5 6 7 8 from the highest down

  !> 96 bytes, in this order in the file. Times and sizes in SI units.
  type header
    character(len=8) :: magic
    integer(int64) :: order_mark, nx, ny, step
    real(dp) :: dt, lx, ly, depth
    real(dp) :: mean_eta0    !< mean of eta before the first step: the zero of the mass error
    real(dp) :: wind         !< factor of the stress
    integer(int64) :: checksum
  end type header
  integer, parameter :: header_bytes = 96

  interface
    integer(c_int) function c_rename(from, to) bind(c, name='rename')
      import :: c_char, c_int
      character(kind=c_char), intent(in) :: from(*), to(*)
    end function c_rename
  end interface

contains

  !> Write the state after `step` steps. Collective. `error` is empty on success, the same on every process.
  subroutine restart_write(path, t, cfg, step, mean_eta0, wind, s, error)
    character(len=*), intent(in) :: path
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    integer, intent(in) :: step
    real(dp), intent(in) :: mean_eta0, wind
    type(state), intent(in) :: s
    character(len=*), intent(out) :: error
    real(dp), allocatable :: global(:, :, :)
    type(header) :: head

    error = ''
    if (t%rank == 0) then
      allocate (global(cfg%nx, cfg%ny, 3))
    else
      allocate (global(1, 1, 3))
    end if
    call tile_gather(t, s%u, global(:, :, 1))
    call tile_gather(t, s%v, global(:, :, 2))
    call tile_gather(t, s%eta, global(:, :, 3))
    if (t%rank == 0) then
      head = header(magic, order_mark, cfg%nx, cfg%ny, step, cfg%dt, cfg%lx, cfg%ly, cfg%depth, mean_eta0, wind, 0)
      head%checksum = checksum(head, global)
      call write_file(path, head, global, error)
    end if
    call MPI_Bcast(error, len(error), MPI_CHARACTER, 0, t%comm)
  end subroutine restart_write

  subroutine write_file(path, head, global, error)
    character(len=*), intent(in) :: path
    type(header), intent(in) :: head
    real(dp), intent(in) :: global(:, :, :)
    character(len=*), intent(out) :: error
    character(len=:), allocatable :: temporary
    character(len=200) :: reason
    integer :: unit, status, ignored

    error = ''
    reason = ''
    temporary = trim(path)//'.tmp'
    open (newunit=unit, file=temporary, access='stream', form='unformatted', status='replace', action='write', &
          iostat=status, iomsg=reason)
    if (status == 0) then
      write (unit, iostat=status, iomsg=reason) head%magic, head%order_mark, head%nx, head%ny, head%step, head%dt, &
        head%lx, head%ly, head%depth, head%mean_eta0, head%wind, head%checksum, global
      if (status == 0) flush (unit, iostat=status, iomsg=reason)
      if (status == 0) then
        close (unit, iostat=status, iomsg=reason)
      else
        close (unit, status='delete', iostat=ignored)
      end if
    end if
    if (status == 0) then
      ignored = c_rename(trim(path)//c_null_char, trim(path)//'.old'//c_null_char)  ! there may be none
      if (c_rename(temporary//c_null_char, trim(path)//c_null_char) /= 0) then
        status = 1
        reason = 'the finished file could not be renamed'
      end if
    end if
    if (status /= 0) error = trim(path)//': cannot write the restart: '//trim(reason)
  end subroutine write_file

  !> Read a state written by restart_write on a grid and with a time step as in `cfg`. Collective. `s` is allocated with
  !! its halos. `error` is empty on success, otherwise one message, the same on every process.
  subroutine restart_read(path, t, cfg, step, mean_eta0, wind, s, error)
    character(len=*), intent(in) :: path
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    integer, intent(out) :: step
    real(dp), intent(out) :: mean_eta0, wind
    type(state), intent(inout) :: s
    character(len=*), intent(out) :: error
    real(dp), allocatable :: global(:, :, :)
    type(header) :: head

    error = ''
    step = 0
    mean_eta0 = 0
    wind = 1
    if (t%rank == 0) call read_file(path, cfg, head, global, error)
    call MPI_Bcast(error, len(error), MPI_CHARACTER, 0, t%comm)
    if (error /= '') return
    if (t%rank == 0) then
      step = int(head%step)
      mean_eta0 = head%mean_eta0
      wind = head%wind
    else
      allocate (global(1, 1, 3))
    end if
    call MPI_Bcast(step, 1, MPI_INTEGER, 0, t%comm)
    call MPI_Bcast(mean_eta0, 1, MPI_DOUBLE_PRECISION, 0, t%comm)
    call MPI_Bcast(wind, 1, MPI_DOUBLE_PRECISION, 0, t%comm)
    call tile_scatter(t, global(:, :, 1), s%u)
    call tile_scatter(t, global(:, :, 2), s%v)
    call tile_scatter(t, global(:, :, 3), s%eta)
  end subroutine restart_read

  !> Of the last two states that were written as `path`, that after step `wanted`. Otherwise as restart_read.
  subroutine restart_find(path, wanted, t, cfg, mean_eta0, wind, s, error)
    character(len=*), intent(in) :: path
    integer, intent(in) :: wanted
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    real(dp), intent(out) :: mean_eta0, wind
    type(state), intent(inout) :: s
    character(len=*), intent(out) :: error
    integer :: step
    call restart_read(path, t, cfg, step, mean_eta0, wind, s, error)
    if (error == '' .and. step == wanted) return
    call restart_read(trim(path)//'.old', t, cfg, step, mean_eta0, wind, s, error)
    if (error == '' .and. step /= wanted) &
      write (error, '(2a,i0)') trim(path), ': neither it nor the one before is the state after step ', wanted
  end subroutine restart_find

  subroutine read_file(path, cfg, head, global, error)
    character(len=*), intent(in) :: path
    type(config), intent(in) :: cfg
    type(header), intent(out) :: head
    real(dp), allocatable, intent(out) :: global(:, :, :)
    character(len=*), intent(out) :: error
    character(len=200) :: reason
    integer :: unit, status
    integer(int64) :: bytes

    error = ''
    reason = ''
    open (newunit=unit, file=trim(path), access='stream', form='unformatted', status='old', action='read', &
          iostat=status, iomsg=reason)
    if (status == 0) then
      inquire (unit=unit, size=bytes)
      read (unit, iostat=status, iomsg=reason) head%magic, head%order_mark, head%nx, head%ny, head%step, head%dt, &
        head%lx, head%ly, head%depth, head%mean_eta0, head%wind, head%checksum
      if (is_iostat_end(status)) reason = 'it ends within the header'
      if (status == 0) call check_header(head, cfg, bytes, status, reason)
      if (status == 0) then
        allocate (global(cfg%nx, cfg%ny, 3))
        read (unit, iostat=status, iomsg=reason) global
      end if
      if (status == 0) then
        if (checksum(head, global) /= head%checksum) then
          status = 1
          reason = 'its checksum does not match its contents'
        end if
      end if
      close (unit)
    end if
    if (status /= 0) error = trim(path)//': not a restart for this run: '//trim(reason)
  end subroutine read_file

  subroutine check_header(head, cfg, bytes, status, reason)
    type(header), intent(in) :: head
    type(config), intent(in) :: cfg
    integer(int64), intent(in) :: bytes
    integer, intent(out) :: status
    character(len=*), intent(out) :: reason
    integer(int64) :: expected

    reason = ''
    expected = header_bytes + 3 * 8 * int(cfg%nx, int64) * int(cfg%ny, int64)
    if (head%magic /= magic) then
      reason = 'it does not start with '//magic
    else if (head%order_mark /= order_mark) then
      reason = 'it was written with another byte order'
    else if (head%nx /= cfg%nx .or. head%ny /= cfg%ny) then
      write (reason, '(4(a,i0))') 'its grid is ', head%nx, ' x ', head%ny, ', that of the run ', cfg%nx, ' x ', cfg%ny
    else if (.not. same_bits(head%dt, cfg%dt)) then
      write (reason, '(2(a,g0))') 'its time step is ', head%dt, ' s, that of the run ', cfg%dt
    else if (.not. all(same_bits([head%lx, head%ly, head%depth], [cfg%lx, cfg%ly, cfg%depth]))) then
      reason = 'its lx, ly or depth differ from those of the run'
    else if (bytes /= expected) then
      write (reason, '(2(a,i0))') 'it has ', bytes, ' bytes instead of ', expected
    else if (head%step < 0 .or. head%step > huge(1) - 1) then
      write (reason, '(a,i0)') 'its step number is out of range: ', head%step
    end if
    status = merge(0, 1, reason == '')
  end subroutine check_header

  elemental logical function same_bits(a, b)
    real(dp), intent(in) :: a, b
    same_bits = transfer(a, 0_int64) == transfer(b, 0_int64)
  end function same_bits

  !> Fletcher's checksum (1982, doi 10.1109/TCOM.1982.1095369) over the 32-bit words of header and fields.
  function checksum(head, global) result(total)
    type(header), intent(in) :: head
    real(dp), intent(in) :: global(:, :, :)
    integer(int64) :: total
    integer(int64) :: a, b
    integer :: j, k
    a = 0
    b = 0
    call add(transfer(head%magic, [0_int32]), a, b)
    call add(transfer([head%order_mark, head%nx, head%ny, head%step], [0_int32]), a, b)
    call add(transfer([head%dt, head%lx, head%ly, head%depth, head%mean_eta0, head%wind], [0_int32]), a, b)
    do k = 1, size(global, 3)
      do j = 1, size(global, 2)
        call add(transfer(global(:, j, k), [0_int32]), a, b)
      end do
    end do
    total = ior(ishft(iand(b, 2147483647_int64), 32), a)
  end function checksum

  pure subroutine add(words, a, b)
    integer(int32), intent(in) :: words(:)
    integer(int64), intent(inout) :: a, b
    integer(int64), parameter :: mask = 4294967295_int64  ! also the modulus 2^32 - 1
    integer :: i
    do i = 1, size(words)
      a = mod(a + iand(int(words(i), int64), mask), mask)
      b = mod(b + a, mask)
    end do
  end subroutine add

end module gyre_restart
