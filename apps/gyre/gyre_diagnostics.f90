!> What the model says about itself: energy, speed, mass, and the budget of energy.
!!
!! Sums over the domain are the same bits on any number of processes (exact_sum); none feeds back into the state.
module gyre_diagnostics
  use, intrinsic :: iso_fortran_env, only: int64, output_unit
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite
  use mpi_f08
  use gyre_grid, only: dp, tile
  use gyre_physics, only: state, ocean
  implicit none
  private
  public :: diagnostics, diagnostics_start, diagnostics_report, diagnostics_close, mean_eta, require_finite

  !> Between two reports.
  type diagnostics
    real(dp) :: mean_eta0 = 0      !< mean of eta at step 0 of the first run [m]
    real(dp) :: energy = 0         !< at the last report [J]
    integer :: unit = 0            !< of the budget file, on rank 0; 0: none
  end type diagnostics

contains

  !> The sum of x over all processes, exactly the same for any order and distribution of the elements: each is cut into
  !! two integers relative to a power of two above the largest, and integers add exactly. Elements lose what lies below
  !! 2^-60 of that power; up to 2^32 elements. Collective.
  real(dp) function exact_sum(t, x) result(total)
    type(tile), intent(in) :: t
    real(dp), intent(in) :: x(:, :)
    real(dp), parameter :: limb = 2.0_dp**30
    integer(int64) :: high, sums(2)
    real(dp) :: largest, scaled
    integer :: i, j, power

    largest = maxval(abs(x))
    call MPI_Allreduce(MPI_IN_PLACE, largest, 1, MPI_DOUBLE_PRECISION, MPI_MAX, t%comm)
    total = 0
    if (.not. largest > 0) return
    power = exponent(largest)
    sums = 0
    do j = 1, size(x, 2)
      do i = 1, size(x, 1)
        scaled = scale(x(i, j), -power) * limb
        high = int(scaled, int64)
        sums(1) = sums(1) + high
        sums(2) = sums(2) + int((scaled - real(high, dp)) * limb, int64)
      end do
    end do
    call MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_INTEGER8, MPI_SUM, t%comm)
    total = scale(real(sums(1), dp) + real(sums(2), dp) / limb, power - 30)
  end function exact_sum

  real(dp) function mean_eta(t, s)
    type(tile), intent(in) :: t
    type(state), intent(in) :: s
    mean_eta = exact_sum(t, s%eta(1:t%nx, 1:t%ny)) / (real(t%nx_global, dp) * real(t%ny_global, dp))
  end function mean_eta

  !> Total energy [J] of a state with current halos. Collective.
  real(dp) function total_energy(t, o, s) result(energy)
    type(tile), intent(in) :: t
    type(ocean), intent(in) :: o
    type(state), intent(in) :: s
    real(dp), allocatable :: cell(:, :)
    integer :: i, j
    allocate (cell(t%nx, t%ny))
    do j = 1, t%ny
      do i = 1, t%nx
        cell(i, j) = 0.5_dp * ((o%depth + 0.5_dp * (s%eta(i, j) + s%eta(i + 1, j))) * s%u(i, j)**2 &
                               + (o%depth + 0.5_dp * (s%eta(i, j) + s%eta(i, j + 1))) * s%v(i, j)**2 &
                               + o%gravity * s%eta(i, j)**2)
      end do
    end do
    energy = o%density * o%dx * o%dy * exact_sum(t, cell)
  end function total_energy

  !> Note the energy at the start and open the budget file (empty path: none). Collective; halos of s current.
  subroutine diagnostics_start(self, t, o, s, mean_eta0, path, step, error)
    type(diagnostics), intent(out) :: self
    type(tile), intent(in) :: t
    type(ocean), intent(in) :: o
    type(state), intent(in) :: s
    real(dp), intent(in) :: mean_eta0
    character(len=*), intent(in) :: path
    integer, intent(in) :: step
    character(len=*), intent(out) :: error
    character(len=200) :: reason
    integer :: status

    error = ''
    self%mean_eta0 = mean_eta0
    self%energy = total_energy(t, o, s)
    if (t%rank == 0 .and. path /= '') then
      open (newunit=self%unit, file=trim(path), status='replace', action='write', iostat=status, iomsg=reason)
      if (status == 0) write (self%unit, '(a)', iostat=status, iomsg=reason) &
        'step,time_s,energy_J,wind_J,drag_J,friction_J,residual_J'
      if (status == 0) call budget_row(self%unit, step, step * o%dt, [self%energy, 0.0_dp, 0.0_dp, 0.0_dp, 0.0_dp], &
                                        status)
      if (status /= 0) error = trim(path)//': cannot write the budget file: '//trim(reason)
    end if
    call MPI_Bcast(error, len(error), MPI_CHARACTER, 0, t%comm)
  end subroutine diagnostics_start

  subroutine budget_row(unit, step, time, values, status)
    integer, intent(in) :: unit, step
    real(dp), intent(in) :: time, values(5)
    integer, intent(out) :: status
    write (unit, '(i0,6(",",es24.16e3))', iostat=status) step, time, values
  end subroutine budget_row

  !> Print one line, add one row to the budget: works since the last row, residual = change of energy - wind + drag +
  !! friction. Collective; halos of s current. `error` names a state that is not finite or a file that cannot be
  !! written.
  subroutine diagnostics_report(self, t, o, s, step, error)
    type(diagnostics), intent(inout) :: self
    type(tile), intent(in) :: t
    type(ocean), intent(inout) :: o
    type(state), intent(in) :: s
    integer, intent(in) :: step
    character(len=*), intent(out) :: error
    real(dp) :: energy, speed, mass_error, wind, drag, friction
    integer :: status

    call require_finite(t, s, step, error)
    if (error /= '') return
    energy = total_energy(t, o, s)
    speed = max(maxval(abs(s%u(1:t%nx, 1:t%ny))), maxval(abs(s%v(1:t%nx, 1:t%ny))))
    call MPI_Allreduce(MPI_IN_PLACE, speed, 1, MPI_DOUBLE_PRECISION, MPI_MAX, t%comm)
    mass_error = (mean_eta(t, s) - self%mean_eta0) / o%depth
    if (t%rank == 0) then
      write (output_unit, '(a,f9.2,a,i0,a,es13.6,a,f8.4,a,es9.1)') 'day', step * o%dt / 86400, '  step ', step, &
        '  energy', energy, ' J  max speed', speed, ' m/s  mass error', mass_error
      flush (output_unit)
    end if
    status = 0
    if (o%budget) then
      wind = exact_sum(t, o%wind(1:t%nx, 1:t%ny))
      drag = exact_sum(t, o%drag(1:t%nx, 1:t%ny))
      friction = exact_sum(t, o%friction(1:t%nx, 1:t%ny))
      o%wind = 0
      o%drag = 0
      o%friction = 0
      if (t%rank == 0) call budget_row(self%unit, step, step * o%dt, &
                                       [energy, wind, drag, friction, &
                                        energy - self%energy - wind + drag + friction], status)
    end if
    call MPI_Bcast(status, 1, MPI_INTEGER, 0, t%comm)
    if (status /= 0) error = 'cannot write the budget file'
    self%energy = energy
  end subroutine diagnostics_report

  !> Set `error` where any process has a value that is not finite. Collective.
  subroutine require_finite(t, s, step, error)
    type(tile), intent(in) :: t
    type(state), intent(in) :: s
    integer, intent(in) :: step
    character(len=*), intent(out) :: error
    logical :: finite
    finite = all(ieee_is_finite(s%u(1:t%nx, 1:t%ny))) .and. all(ieee_is_finite(s%v(1:t%nx, 1:t%ny))) &
             .and. all(ieee_is_finite(s%eta(1:t%nx, 1:t%ny)))
    call MPI_Allreduce(MPI_IN_PLACE, finite, 1, MPI_LOGICAL, MPI_LAND, t%comm)
    error = ''
    if (.not. finite) write (error, '(a,i0,a)') 'the state is not finite at step ', step, &
      ': the time step is too long or the friction too weak for this grid'
  end subroutine require_finite

  subroutine diagnostics_close(self)
    type(diagnostics), intent(inout) :: self
    if (self%unit /= 0) close (self%unit)
    self%unit = 0
  end subroutine diagnostics_close

end module gyre_diagnostics
